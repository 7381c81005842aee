//! Objects: memory with a name that one tile writes and others read.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use icecore_tile::{
    Answer, Cause, Control, Error, Fragment, Maker, Ports, RunOptions, SandboxMode, Tile,
    TileDeclaration, TopologyBuilder, run,
};

/// Writes the number of the attempt when it starts, or reads it when it finishes.
struct User {
    seen: Option<Arc<AtomicU64>>,
    breaks_its_word: bool,
}

impl Tile for User {
    fn on_control(&mut self, control: Control, ports: &mut Ports) -> Result<Answer, Cause> {
        let object = &ports.objects[0];
        match (control, &self.seen) {
            (Control::Start(number), None) => object.store(3, number),
            (Control::Finish, Some(seen)) => {
                seen.store(object.load(3), Ordering::Relaxed);
                if self.breaks_its_word {
                    object.store(0, 1);
                }
            }
            _ => {}
        }
        Ok(Answer::Now)
    }

    fn on_fragment(&mut self, _: usize, _: Fragment, _: &mut Ports) -> Result<(), Cause> {
        unreachable!("it has no input")
    }
}

fn attempt(breaks_its_word: bool) -> (Result<(), Error>, u64) {
    let topology = TopologyBuilder::new("objects")
        .private("local")
        .object("figure", "local", 64)
        .tile(TileDeclaration::new("writer", 0).writes("figure"))
        .tile(TileDeclaration::new("reader", 0).reads("figure"))
        .build()
        .expect("sound");
    let seen = Arc::new(AtomicU64::new(0));
    let maker = |seen: Option<Arc<AtomicU64>>| -> Maker<'static> {
        Box::new(move || Ok(Box::new(User { seen, breaks_its_word }) as Box<dyn Tile>))
    };
    let makers = vec![
        ("writer:0".to_string(), maker(None)),
        ("reader:0".to_string(), maker(Some(Arc::clone(&seen)))),
    ];
    let options =
        RunOptions { sandbox: SandboxMode::On, executable: PathBuf::new(), interrupt: &|| false };
    let ended = run(&topology, makers, &options, |controller| {
        controller.start(77)?;
        controller.finish()?;
        controller.done()
    });
    (ended, seen.load(Ordering::Relaxed))
}

#[test]
fn what_one_tile_writes_to_an_object_others_read() {
    let (ended, seen) = attempt(false);
    ended.expect("nothing goes wrong");
    assert_eq!(seen, 77);
}

#[test]
fn a_tile_that_declared_to_read_cannot_write() {
    let (ended, seen) = attempt(true);
    let error = ended.expect_err("it breaks its word").to_string();
    assert!(error.starts_with("tile reader:0: ") && error.contains("only reads"), "{error}");
    assert_eq!(seen, 77);
}
