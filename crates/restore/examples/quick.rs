use icecore_restore::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut pair = if std::path::Path::new(&args[0]).is_dir() {
        Pair::best_in(&args[0]).unwrap()
    } else {
        Pair::files(&args[0], args.get(1).map(std::path::Path::new)).unwrap()
    };
    let mut options = Options::for_cores(2);
    if let Ok(l) = std::env::var("LEDGER") {
        options.genesis = Some(Genesis::read(std::path::Path::new(&l)).unwrap());
    }
    let t = std::time::Instant::now();
    let report = verify(&mut pair, &options, &Progress::default()).unwrap();
    let e = t.elapsed();
    for v in &report.archives {
        println!(
            "== {} {:?} slot {} n {:?} data {:?} cap {:?} lt {:?}",
            v.archive,
            v.verdict,
            v.slot,
            v.num_accounts,
            v.total_data_len,
            v.capitalization,
            v.accounts_lt_hash_checksum
        );
        for c in &v.checks {
            if c.outcome != Outcome::Pass || std::env::var("ALL").is_ok() {
                println!("  {} {} {}: {}", c.id, c.outcome.word(), c.id.title(), c.detail);
            }
        }
    }
    println!("{:?} {:?}", e, report.work);
    println!(
        "{}",
        std::fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .filter(|l| l.starts_with("VmHWM"))
            .collect::<String>()
    );
}
