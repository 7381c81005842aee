//! The node: it ingests, answers, lets others read, and ends in order.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    process::{Child, ChildStderr, ChildStdin, Command, Stdio},
};

use serde_json::Value;

use crate::support::*;

/// A node of a store.
pub(crate) struct Node {
    pub(crate) child: Child,
    told: BufReader<ChildStderr>,
    input: Option<ChildStdin>,
}

impl Node {
    /// Starts a node, and waits until it can be asked.
    pub(crate) fn start(store: &Store, arguments: &[&str]) -> Self {
        Self::started(store.command(&[&["run"], arguments].concat()))
    }

    /// The same, of a command that runs one.
    pub(crate) fn started(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let told = BufReader::new(child.stderr.take().expect("piped"));
        let input = child.stdin.take();
        let mut node = Self { child, told, input };
        node.wait_for("listening at");
        node
    }

    /// Waits until it says something.
    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.told.read_line(&mut line).expect("text") > 0, "it ended before: {what}");
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Ends it with a signal; gives what it said last.
    pub(crate) fn end(mut self, name: &str, code: i32) -> String {
        signal(name, self.child.id());
        self.ended(code)
    }

    fn ended(&mut self, code: i32) -> String {
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).expect("text");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(code), "{rest}");
        rest
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(store: &Store) -> UnixStream {
    UnixStream::connect(store.path().join("node.sock")).expect("it listens")
}

fn ask(stream: &mut UnixStream, line: &str) -> Value {
    stream.write_all(line.as_bytes()).expect("sent");
    answer(stream)
}

fn answer(stream: &mut UnixStream) -> Value {
    let mut line = String::new();
    BufReader::with_capacity(1, stream).read_line(&mut line).expect("an answer");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[test]
fn a_node_ingests_while_others_read_and_ask() {
    let store = Store::restored();
    let mut node = Node::start(&store, &["--ingest", "slots:-"]);
    let process = node.child.id();
    let plain = plain_feed();
    let mut input = node.input.take().expect("piped");
    let feeder = std::thread::spawn(move || input.write_all(&plain).expect("taken"));
    // Readers beside it never see less than before.
    let mut last = 24;
    while last < 127 {
        let row = store.json(0, &["account", CLOCK]);
        let at = number(&row, "at_slot");
        assert!(at >= last, "{at} after {last}");
        assert_eq!(row["parsed"]["info"]["slot"], at);
        last = at;
    }
    feeder.join().expect("the feed was taken");
    node.wait_for("accounts/s");
    let stats = store.json(0, &["request", "stats"]);
    assert_eq!((number(&stats, "process"), number(&stats, "root")), (u64::from(process), 127));
    let stats = store.good(&["request", "stats"]);
    assert!(stats.contains("root: 127\n"), "{stats}");

    // What only it can do it does for others, or they say who it is.
    let there = store.run(&["ingest", "slots", text(&feed()), "--output", "json"]).code(0);
    let there: Value = serde_json::from_str(&there.out).expect("JSON");
    assert_eq!(number(&there, "slots_there"), list(&truth(), "slots").len() as u64);
    let compacted = store.json(0, &["store", "compact"]);
    assert_eq!(compacted["segments"], store.json(0, &["request", "compact"])["segments"]);
    for command in [vec!["restore", text(&feed_tiny())], vec!["run"]] {
        store.run(&command).code(4).told(&format!("process id {process} has the store open"));
    }
    store.run(&["ingest", "slots", "-"]).code(4).told("standard input");
    store.run(&["ingest", "slots", "no-such-file"]).code(4).told("no-such-file");
    store.run(&["request", "root", "50"]).code(1).told("abandoned");
    store.run(&["request", "root", "5000"]).code(3).told("no fork");

    let said = node.end("TERM", 0);
    assert!(said.ends_with("the store is closed\n"), "{said}");
    assert!(!store.path().join("node.sock").exists());
    store.run(&["request", "stats"]).code(4).told("no node has this store open");
    let opened = store.run(&["ingest", "slots", text(&feed())]).code(0);
    assert!(!opened.err.contains("not closed"), "{}", opened.err);
}

#[test]
fn a_node_makes_slots_final_on_request() {
    let store = Store::fed_until("64");
    let covered = store.json(0, &["coverage"]);
    let node = Node::start(&store, &["--keep-abandoned", "5000"]);
    let rooted = list(&covered, "forks")
        .iter()
        .find(|fork| fork["alive"] == true && fork["parent_slot"] == covered["last"])
        .expect("a child of the root");
    let name = format!("{}@{}", rooted["slot"], string(rooted, "bank_hash"));
    let done = store.json(0, &["request", "root", &name]);
    assert_eq!((&done["root"], &done["bank_hash"]), (&rooted["slot"], &rooted["bank_hash"]));
    assert_eq!(store.json(0, &["account", CLOCK])["at_slot"], rooted["slot"]);
    // Asked for again it is so already.
    assert_eq!(store.json(0, &["request", "root", &name]), done);
    node.end("INT", 0);
}

#[test]
fn clients_that_stall_or_talk_nonsense_are_no_trouble_to_others() {
    let store = Store::restored();
    let node = Node::start(&store, &[]);
    let socket = store.path().join("node.sock");
    let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut silent = connect(&store);
    silent.write_all(b"{\"request\":").expect("sent");
    let mut client = connect(&store);
    let reply = ask(&mut client, "no JSON\n");
    assert_eq!((&reply["answer"], &reply["exit_code"]), (&"error".into(), &2.into()));
    let reply = ask(&mut client, "{\"request\":\"dance\"}\n");
    assert_eq!(reply["answer"], "error");
    let reply = ask(&mut client, "{\"request\":\"stats\"}\n{\"request\":\"stats\"}\n");
    assert_eq!(reply["result"]["root"], 24);
    assert_eq!(answer(&mut client), reply);
    let mut long = connect(&store);
    let _ = long.write_all(&[b'x'; 32 << 10]);
    assert_eq!(answer(&mut long)["answer"], "error");

    // As many as there may be, and who comes then is told.
    let mut silent_ones = vec![silent];
    let busy = loop {
        assert!(silent_ones.len() < 100, "nobody was told");
        let mut next = connect(&store);
        next.set_read_timeout(Some(std::time::Duration::from_millis(100))).expect("set");
        let mut first = [0];
        match next.read(&mut first) {
            Ok(1) => break next,
            _ => silent_ones.push(next),
        }
    };
    drop(busy);
    assert!(silent_ones.len() >= 20, "{}", silent_ones.len());
    drop(silent_ones);
    // All are silent, and it ends at once all the same.
    let _silent = connect(&store);
    node.end("INT", 0);
}

#[test]
fn a_killed_nodes_socket_is_taken_over_and_what_it_left_is_told() {
    let store = Store::restored();
    let mut node = Node::start(&store, &["--ingest", &format!("slots:{}", text(&feed()))]);
    node.wait_for("accounts/s");
    signal("KILL", node.child.id());
    node.child.wait().expect("it ended");
    assert!(store.path().join("node.sock").exists());
    store.run(&["request", "stats"]).code(4).told("no node has this store open");
    assert_eq!(number(&store.json(0, &["account", CLOCK]), "at_slot"), 127);
    let node = Node::start(&store, &["--retain-slots", "1000"]);
    assert_eq!(number(&store.json(0, &["request", "stats"]), "root"), 127);
    node.end("TERM", 0);

    // A feed that does not fit ends it, with everything in order.
    let other = Store::none();
    other.good(&["restore", text(&tiny())]);
    let ran = other.run(&["run", "--ingest", &format!("slots:{}", text(&feed()))]).code(1);
    let ran = ran.told("the feed begins on slot 24");
    assert!(!other.path().join("node.sock").exists(), "{}", ran.err);
    let opened = other.run(&["ingest", "slots", text(&feed())]).code(1);
    assert!(!opened.err.contains("not closed"), "{}", opened.err);
}

#[test]
fn recovery_is_told_when_a_store_is_opened_to_be_written() {
    let store = Store::restored();
    let mut node = Node::start(&store, &["--ingest", "slots:-"]);
    let plain = plain_feed();
    let mut input = node.input.take().expect("piped");
    input.write_all(&plain[..plain.len() / 2]).expect("taken");
    signal("KILL", node.child.id());
    node.child.wait().expect("it ended");
    drop(input);
    let ran = store.run(&["ingest", "slots", text(&feed())]).code(0);
    let ran = ran.told("the store was not closed; all that was acknowledged is there");
    assert!(ran.out.starts_with("root 127 "), "{}", ran.out);
}
