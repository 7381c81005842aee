//! Builds and runs the topology of the tests: a source, tiles that pass on, sinks.

use std::sync::{Arc, Mutex};

use icecore_tile::{
    Cause, Controller, Error, LinkDeclaration, Maker, Place, RunOptions, SandboxMode, Tile,
    TileDeclaration, Topology, TopologyBuilder, run,
};

use crate::{
    fault::{Fault, Struck},
    tiles::{Catch, Got, Load, Manner, Pass, Sink, Source},
};

/// What to build.
#[derive(Clone)]
pub(crate) struct Plan {
    pub load: Load,
    pub depth: u32,
    pub data_bytes: usize,
    pub passes: usize,
    pub sinks: usize,
    pub manner: Manner,
    /// Tiles that share a thread.
    pub fused: Vec<(String, String)>,
    /// Whether those that pass on are processes.
    pub has_processes: bool,
    pub unconfined: Vec<String>,
    pub fault: Option<(String, Fault)>,
    pub sandbox: SandboxMode,
    pub executable: &'static str,
}

impl Plan {
    /// A small load for a source, one that passes on, and two sinks, each on its thread.
    pub(crate) fn new() -> Self {
        Self {
            load: Load { fragments: 2000, bytes_max: 700, endless: None },
            depth: 16,
            data_bytes: 8192,
            passes: 1,
            sinks: 2,
            manner: Manner::default(),
            fused: Vec::new(),
            has_processes: false,
            unconfined: Vec::new(),
            fault: None,
            sandbox: SandboxMode::On,
            executable: "/proc/self/exe",
        }
    }

    /// The same with processes in the middle.
    pub(crate) fn with_processes() -> Self {
        Self { has_processes: true, ..Self::new() }
    }

    pub(crate) fn fault(mut self, tile: &str, fault: Fault) -> Self {
        self.fault = Some((tile.to_string(), fault));
        self
    }

    /// These tiles on one thread.
    pub(crate) fn fuse(mut self, host: &str, tiles: &[&str]) -> Self {
        self.fused.extend(tiles.iter().map(|tile| (tile.to_string(), host.to_string())));
        self
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = vec!["source:0".to_string()];
        names.extend((0..self.passes).map(|number| self.pass_name(number)));
        names.extend((0..self.sinks).map(|number| format!("sink:{number}")));
        names
    }

    /// A tile in a process knows only its kind, so what goes wrong in it is part of that.
    fn pass_kind(&self, number: usize) -> String {
        match &self.fault {
            Some((tile, fault)) if self.has_processes && *tile == format!("pass:{number}") => {
                format!("pass{}", fault.suffix())
            }
            _ => "pass".to_string(),
        }
    }

    pub(crate) fn pass_name(&self, number: usize) -> String {
        format!("{}:{number}", self.pass_kind(number))
    }

    fn tile(&self, kind: &str, number: usize) -> TileDeclaration {
        let mut tile = TileDeclaration::new(kind, number);
        let name = tile.name();
        if let Some((_, host)) = self.fused.iter().find(|(of, _)| *of == name) {
            tile = tile.place(Place::Fused(host.clone()));
        }
        if self.unconfined.contains(&name) { tile.unconfined() } else { tile }
    }

    pub(crate) fn topology(&self) -> Topology {
        let workspace = if self.has_processes { "shared" } else { "local" };
        let link = |name: &str, data_bytes: usize| LinkDeclaration {
            name: name.to_string(),
            workspace: workspace.to_string(),
            progress_workspace: workspace.to_string(),
            depth: self.depth,
            data_bytes,
            is_feedback: false,
        };
        let mut builder = TopologyBuilder::new("test").private("local");
        if self.has_processes {
            builder = builder.shared("shared", true);
        }
        builder = builder
            .link(link("link:0", self.data_bytes))
            .tile(self.tile("source", 0).produces("link:0"));
        for number in 0..self.passes {
            let (from, to) = (format!("link:{number}"), format!("link:{}", number + 1));
            let mut tile = self.tile(&self.pass_kind(number), number);
            if self.has_processes {
                tile = tile.place(Place::Process);
            }
            builder = builder.link(link(&to, 0)).tile(tile.consumes(&from).produces(&to));
        }
        let last = format!("link:{}", self.passes);
        for number in 0..self.sinks {
            let tile = self.tile("sink", number).counters(&["bytes"]);
            builder = builder.tile(tile.consumes(&last));
        }
        builder.build().expect("sound")
    }

    fn makers(&self, catch: &Catch) -> Vec<(String, Maker<'static>)> {
        let fault_of = |name: &str| {
            self.fault.as_ref().filter(|(tile, _)| tile == name).map(|(_, fault)| *fault)
        };
        let mut makers = Vec::new();
        let mut add = |name: String, maker: Maker<'static>| makers.push((name, maker));
        let (load, fault) = (self.load, fault_of("source:0"));
        add("source:0".to_string(), maker(move || Source::new(load, fault)));
        for number in 0..self.passes {
            let name = format!("pass:{number}");
            let fault = fault_of(&name);
            add(name, maker(move || Pass::new(fault)));
        }
        for number in 0..self.sinks {
            let name = format!("sink:{number}");
            let (fault, manner, catch) = (fault_of(&name), self.manner, Arc::clone(catch));
            add(name, maker(move || Sink::new(number, manner, fault, catch)));
        }
        makers
    }

    /// Runs it with this body; gives what the body gave and what sinks got.
    pub(crate) fn run<R>(
        &self,
        interrupt: &(dyn Fn() -> bool + Sync),
        body: impl FnOnce(&mut Controller<'_>) -> Result<R, Error>,
    ) -> (Result<R, Error>, Vec<(usize, Got)>) {
        let catch: Catch = Arc::new(Mutex::new(Vec::new()));
        let options =
            RunOptions { sandbox: self.sandbox, executable: self.executable.into(), interrupt };
        let given = run(&self.topology(), self.makers(&catch), &options, body);
        assert!(children().is_empty(), "no process is left");
        let mut got = catch.lock().expect("nobody panics with it").clone();
        got.sort_by_key(|(sink, got)| (got.attempt, *sink));
        (given, got)
    }

    /// Runs attempts 1 to `count`; gives how each ended.
    pub(crate) fn attempts(&self, count: u64) -> Vec<Result<(), Error>> {
        let (ends, got) = self.run(&|| false, |controller| {
            Ok((1..=count).map(|number| attempt(controller, number)).collect::<Vec<_>>())
        });
        let ends = ends.expect("it starts");
        let good = (1..).zip(&ends).filter(|(_, end)| end.is_ok()).map(|(number, _)| number);
        assert_eq!(got, self.expected(good));
        ends
    }

    /// What sinks get of these attempts.
    pub(crate) fn expected(&self, attempts: impl Iterator<Item = u64>) -> Vec<(usize, Got)> {
        let of = |attempt| (0..self.sinks).map(move |sink| (sink, self.load.total(attempt)));
        attempts.flat_map(of).collect()
    }
}

fn maker<T: Tile + 'static>(make: impl FnOnce() -> T + Send + 'static) -> Maker<'static> {
    Box::new(move || -> Result<Box<dyn Tile>, Cause> { Ok(Box::new(make())) })
}

/// One attempt from start to commit.
pub(crate) fn attempt(controller: &mut Controller<'_>, number: u64) -> Result<(), Error> {
    controller.start(number)?;
    controller.finish()?;
    controller.next()
}

/// The tile and the words of an error.
pub(crate) fn of_tile<R>(result: &Result<R, Error>) -> (String, String) {
    match result {
        Err(Error::Tile { tile, source }) => (tile.clone(), source.to_string()),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("no error"),
    }
}

/// Whether it is the error that a tile was told to give, with its type.
pub(crate) fn is_struck(result: &Result<(), Error>, name: &str, struck: &Struck) -> bool {
    match result {
        Err(Error::Tile { tile, source }) => {
            tile == name && source.downcast_ref::<Struck>() == Some(struck)
        }
        _ => false,
    }
}

/// The processes that this one has started.
pub(crate) fn children() -> Vec<i32> {
    children_of(std::process::id())
}

/// The processes that a process has started and that live.
pub(crate) fn children_of(parent: u32) -> Vec<i32> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("it is there").flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if state_and_parent(number).is_some_and(|(state, of)| of == parent && state != 'Z') {
            children.push(number);
        }
    }
    children
}

/// Of a living process.
pub(crate) fn state_and_parent(process: i32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}
