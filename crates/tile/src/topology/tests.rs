//! What a topology refuses, and how it prints.

use serde_json::json;

use super::*;

/// A source, a tile in the middle and a sink: sound.
fn chain() -> TopologyBuilder {
    TopologyBuilder::new("chain")
        .private("local")
        .link(link("in", "local"))
        .link(link("out", "local"))
        .tile(TileDeclaration::new("source", 0).produces("in"))
        .tile(TileDeclaration::new("middle", 0).consumes("in").produces("out"))
        .tile(TileDeclaration::new("sink", 0).consumes("out"))
}

/// The same with workspaces that a process can join, and the middle in one.
fn with_process() -> TopologyBuilder {
    let mut declared = chain().shared("feed", false).shared("work", true);
    declared.links[0].workspace = "feed".to_string();
    declared.links[0].progress_workspace = "work".to_string();
    declared.links[1].workspace = "work".to_string();
    declared.tiles[1].place = Place::Process;
    declared
}

fn link(name: &str, workspace: &str) -> LinkDeclaration {
    LinkDeclaration {
        name: name.to_string(),
        workspace: workspace.to_string(),
        progress_workspace: workspace.to_string(),
        depth: 16,
        data_bytes: 1000,
        is_feedback: false,
    }
}

fn refused(declared: TopologyBuilder) -> String {
    let error = declared.build().expect_err("not sound");
    assert!(matches!(error, Error::Topology(_)));
    error.to_string()
}

#[test]
fn a_sound_topology_has_a_place_for_everything_that_overlaps_nothing() {
    for declared in [chain(), with_process()] {
        let topology = declared.object("state", "local", 100).build().expect("sound");
        let layout = &topology.layout;
        let mut extents: Vec<_> = layout.objects.clone();
        extents.extend(layout.links.iter().flat_map(|link| [link.ring, link.progress, link.data]));
        extents.extend(layout.tiles.iter().flat_map(|tile| [tile.control, tile.text]));
        extents.extend(layout.tiles.iter().flat_map(|tile| [tile.metrics, tile.bell]));
        extents.extend(layout.coordinator_bell);
        extents.sort_by_key(|extent| (extent.workspace, extent.offset));
        for pair in extents.windows(2) {
            let ends = pair[0].offset + pair[0].bytes;
            assert!(pair[0].workspace < pair[1].workspace || ends <= pair[1].offset, "{pair:?}");
        }
        for extent in &extents {
            assert_eq!(extent.offset % 64, 0);
            let bytes = layout.workspace_bytes[extent.workspace];
            assert!(extent.offset + extent.bytes <= bytes);
        }
    }
}

#[test]
fn what_a_process_writes_lies_where_it_may_and_nothing_of_the_threads_but_their_bells() {
    let topology = with_process().build().expect("sound");
    let (layout, work) = (&topology.layout, 2);
    assert_eq!(topology.workspaces()[work].name, "work");
    for (number, tile) in layout.tiles.iter().enumerate() {
        let is_in_reach = [tile.control, tile.text, tile.metrics].map(|own| own.workspace == work);
        assert_eq!(is_in_reach, [number == 1; 3]);
        assert_eq!(tile.bell.workspace, work, "all three meet the process");
    }
    assert_eq!(layout.coordinator_bell.expect("laid out").workspace, work);
}

#[test]
fn fused_tiles_share_a_bell_and_a_host() {
    let mut declared = chain();
    declared.tiles[0].place = Place::Fused("both".to_string());
    declared.tiles[2].place = Place::Fused("both".to_string());
    let topology = declared.build().expect("sound");
    let bells: Vec<_> = topology.layout.tiles.iter().map(|tile| tile.bell).collect();
    assert_eq!(bells[0], bells[2]);
    assert_ne!(bells[0], bells[1]);
    let hosts = [("both".to_string(), vec![0, 2]), ("middle:0".to_string(), vec![1])];
    assert_eq!(topology.hosts(), hosts);
}

#[test]
fn a_link_has_one_producer_and_a_consumer() {
    let mut none = chain();
    none.tiles[0].uses.clear();
    assert_eq!(refused(none), "topology: link 'in' has no producer");
    let two = chain().tile(TileDeclaration::new("source", 1).produces("in"));
    assert_eq!(refused(two), "topology: link 'in' has 2 producers: source:0, source:1");
    let mut unread = chain();
    unread.tiles[2].uses.clear();
    assert_eq!(refused(unread), "topology: link 'out' has no consumer");
    let mut many = chain();
    for number in 1..=64 {
        many = many.tile(TileDeclaration::new("sink", number).consumes("out"));
    }
    assert_eq!(refused(many), "topology: link 'out' has 65 consumers, 64 at most");
}

#[test]
fn unknown_names_are_told_with_who_uses_them() {
    let no_link = chain().tile(TileDeclaration::new("other", 3).consumes("inn"));
    assert_eq!(refused(no_link), "topology: tile 'other:3' uses 'inn', which is not declared");
    for uses in [
        TileDeclaration::new("other", 3).reads("in"),
        TileDeclaration::new("other", 3).writes("in"),
    ] {
        let refused = refused(chain().tile(uses));
        assert_eq!(refused, "topology: tile 'other:3' uses 'in', which is not declared");
    }
    let mut nowhere = chain();
    nowhere.links[1].workspace = "locale".to_string();
    assert_eq!(refused(nowhere), "topology: link 'out': no workspace 'locale'");
    let mut nowhere = chain();
    nowhere.links[0].progress_workspace = "there".to_string();
    assert_eq!(refused(nowhere), "topology: link 'in': no workspace 'there'");
    let nowhere = chain().object("state", "here", 8);
    assert_eq!(refused(nowhere), "topology: object 'state': no workspace 'here'");
}

#[test]
fn nothing_is_declared_twice() {
    let twice = [
        (chain().private("local"), "workspace 'local' is declared twice"),
        (chain().shared("local", true), "workspace 'local' is declared twice"),
        (chain().link(link("in", "local")), "link 'in' is declared twice"),
        (
            chain().object("state", "local", 1).object("state", "local", 2),
            "object 'state' is declared twice",
        ),
        (chain().tile(TileDeclaration::new("sink", 0)), "tile 'sink:0' is declared twice"),
    ];
    for (declared, expected) in twice {
        assert_eq!(refused(declared), format!("topology: {expected}"));
    }
    let mut uses = chain();
    uses.tiles[2].uses.push((Use::Consumes, "out".to_string()));
    assert_eq!(refused(uses), "topology: tile 'sink:0' declares its use of 'out' twice");
}

#[test]
fn nothing_at_all_is_refused() {
    assert_eq!(refused(TopologyBuilder::new("void")), "topology: 'void' has no tile");
    let homeless = TopologyBuilder::new("void").tile(TileDeclaration::new("idle", 0));
    assert_eq!(refused(homeless), "topology: 'void' has no workspace");
}

#[test]
fn a_depth_is_a_power_of_two_within_bounds() {
    for depth in [0, 3, 1000, 131_072] {
        let mut declared = chain();
        declared.links[1].depth = depth;
        let expected =
            format!("topology: link 'out': depth {depth} is no power of two up to 65536");
        assert_eq!(refused(declared), expected);
    }
    for depth in [1, 65_536] {
        let mut declared = chain();
        declared.links[1].depth = depth;
        declared.build().expect("sound");
    }
}

#[test]
fn there_is_a_bound_on_tiles_and_on_memory() {
    let mut many = chain();
    for number in 0..TILES_MAX - 3 {
        many = many.tile(TileDeclaration::new("idle", number));
    }
    many.clone().build().expect("512 are allowed");
    let many = many.tile(TileDeclaration::new("one", 513));
    assert_eq!(refused(many), "topology: 513 tiles, 512 are the most");
    let mut large = chain();
    large.links[0].data_bytes = usize::MAX;
    assert!(refused(large).starts_with("topology: workspace 'local' would have "));
    let large = chain().object("state", "local", (1 << 40) + 1);
    assert!(refused(large).starts_with("topology: workspace 'local' would have "));
}

#[test]
fn a_cycle_is_refused_unless_a_link_is_declared_as_feedback() {
    let with_way_back = |is_feedback| {
        let mut declared = chain().link(LinkDeclaration { is_feedback, ..link("back", "local") });
        declared.tiles[0].uses.push((Use::Consumes, "back".to_string()));
        declared.tiles[2].uses.push((Use::Produces, "back".to_string()));
        declared
    };
    assert_eq!(
        refused(with_way_back(false)),
        "topology: links 'in', 'out', 'back' form a cycle; a link that leads backwards must be \
         declared as feedback"
    );
    with_way_back(true).build().expect("sound");
    // What leads into a cycle is not part of it.
    let mut behind = with_way_back(false).link(link("before", "local"));
    behind.tiles.insert(0, TileDeclaration::new("first", 0).produces("before"));
    behind.tiles[1].uses.push((Use::Consumes, "before".to_string()));
    assert!(refused(behind).starts_with("topology: links 'in', 'out', 'back' form"));
    let mut itself = chain().link(link("self", "local"));
    itself.tiles[1] = itself.tiles[1].clone().produces("self").consumes("self");
    assert!(refused(itself).starts_with("topology: links 'self' form a cycle"));
}

#[test]
fn tiles_are_declared_in_the_order_of_the_data() {
    let mut declared = chain();
    declared.tiles.swap(1, 2);
    assert_eq!(
        refused(declared),
        "topology: link 'out' leads from 'middle:0' to 'sink:0', which is declared before it: \
         declare tiles in the order in which data flows"
    );
}

#[test]
fn a_process_reaches_only_shared_workspaces_and_writes_only_where_it_may() {
    let with = |link: usize, workspace: &str, progress: &str| {
        let mut declared = with_process();
        declared.links[link].workspace = workspace.to_string();
        declared.links[link].progress_workspace = progress.to_string();
        refused(declared)
    };
    let private = |workspace: &str, used: &str| {
        format!(
            "topology: tile 'middle:0' is a process, but workspace '{workspace}' of '{used}' is \
             private"
        )
    };
    let read_only = |used: &str| {
        format!(
            "topology: tile 'middle:0' is a process and writes '{used}', but processes may only \
             read workspace 'feed'"
        )
    };
    assert_eq!(with(0, "local", "work"), private("local", "in"));
    assert_eq!(with(0, "feed", "local"), private("local", "in"));
    assert_eq!(with(1, "local", "local"), private("local", "out"));
    assert_eq!(with(0, "feed", "feed"), read_only("in"));
    assert_eq!(with(1, "feed", "local"), read_only("out"));
    let mut reads = with_process().object("state", "local", 8);
    reads.tiles[1] = reads.tiles[1].clone().reads("state");
    assert_eq!(refused(reads), private("local", "state"));
    let mut writes = with_process().object("state", "feed", 8);
    writes.tiles[1] = writes.tiles[1].clone().writes("state");
    assert_eq!(refused(writes), read_only("state"));
    let mut reads = with_process().object("state", "feed", 8);
    reads.tiles[1] = reads.tiles[1].clone().reads("state");
    reads.build().expect("sound");
}

#[test]
fn a_process_needs_a_workspace_to_write_and_threads_one_out_of_its_reach() {
    let mut declared = chain();
    declared.tiles[1].place = Place::Process;
    assert_eq!(
        refused(declared),
        "topology: tile 'middle:0' is a process, but there is no workspace it may write"
    );
    let mut declared = chain();
    declared.workspaces = TopologyBuilder::new("").shared("local", true).workspaces;
    declared.tiles[1].place = Place::Process;
    assert_eq!(
        refused(declared),
        "topology: tile 'middle:0' is a process, but there is no workspace out of its reach for \
         the threads' own words"
    );
}

#[test]
fn a_process_is_not_fused_and_not_open() {
    let mut fused = with_process();
    fused.tiles[0].place = Place::Fused("middle:0".to_string());
    assert_eq!(refused(fused), "topology: tiles 'source:0' and 'middle:0' share host 'middle:0'");
    let mut open = with_process();
    open.tiles[1] = open.tiles[1].clone().unconfined();
    assert_eq!(refused(open), "topology: tile 'middle:0' is a process, which is always closed in");
}

#[test]
fn fused_tiles_have_the_same_core() {
    let mut declared = chain();
    declared.tiles[0].place = Place::Fused("both".to_string());
    declared.tiles[1].place = Place::Fused("both".to_string());
    declared.tiles[1].core = Some(1);
    assert_eq!(
        refused(declared),
        "topology: fused tiles 'source:0' and 'middle:0' name different cores"
    );
}

/// Of everything one.
fn printed() -> Topology {
    let mut declared = with_process().object("state", "local", 100);
    declared.tiles[0] = declared.tiles[0].clone().place(Place::Fused("ends".to_string()));
    declared.tiles[2] = declared.tiles[2]
        .clone()
        .place(Place::Fused("ends".to_string()))
        .arena_bytes(3 << 20)
        .unconfined()
        .writes("state");
    declared.tiles[1].core = Some(7);
    declared.build().expect("sound")
}

#[test]
fn a_topology_prints_as_a_table() {
    assert_eq!(
        printed().table(),
        "\
topology chain, 3.0 MiB

workspace        backing            size  processes
local            private         0.0 MiB  none
feed             shared          0.0 MiB  read
work             shared          0.0 MiB  write

tile             host                   core        arena  sandbox
source:0         thread ends            any       0.0 MiB  open
middle:0         process                7         0.0 MiB  closed
sink:0           thread ends            any       3.0 MiB  open

link                            depth         data workspace  producer > consumers
in                                 16      0.0 MiB feed       source:0 > middle:0
out                                16      0.0 MiB work       middle:0 > sink:0
"
    );
}

#[test]
fn a_topology_prints_as_json() {
    let tile = |name: &str, host: &str, uses: &[(&str, &str)]| {
        let uses: Vec<_> =
            uses.iter().map(|(how, what)| json!({ "how": how, "what": what })).collect();
        json!({
            "name": name, "host": host, "is_process": name == "middle:0",
            "core": if name == "middle:0" { json!(7) } else { json!(null) },
            "arena_bytes": if name == "sink:0" { 3 << 20 } else { 0 },
            "is_unconfined": name == "sink:0", "uses": uses,
        })
    };
    let link = |name: &str, workspace: &str, progress: &str, producer: &str, consumer: &str| {
        json!({
            "name": name, "workspace": workspace, "progress_workspace": progress, "depth": 16,
            "data_bytes": 1000, "is_feedback": false, "producer": producer,
            "consumers": [consumer],
        })
    };
    let workspace = |name: &str, backing: &str, processes_may_write: bool| {
        json!({
            "name": name, "backing": backing, "processes_may_write": processes_may_write,
            "bytes": 8192,
        })
    };
    let expected = json!({
        "topology": "chain",
        "footprint_bytes": 3 * 8192 + (3 << 20),
        "workspaces": [
            workspace("local", "private", false),
            workspace("feed", "shared", false),
            workspace("work", "shared", true),
        ],
        "objects": [{ "name": "state", "workspace": "local", "bytes": 100 }],
        "tiles": [
            tile("source:0", "ends", &[("produces", "in")]),
            tile("middle:0", "middle:0", &[("consumes", "in"), ("produces", "out")]),
            tile("sink:0", "ends", &[("consumes", "out"), ("writes", "state")]),
        ],
        "links": [
            link("in", "feed", "work", "source:0", "middle:0"),
            link("out", "work", "local", "middle:0", "sink:0"),
        ],
    });
    assert_eq!(printed().json(), expected);
}

#[test]
fn a_topology_prints_for_graphviz() {
    assert_eq!(
        printed().graphviz(),
        "\
digraph \"chain\" {
  rankdir=LR;
  node [shape=box];
  subgraph cluster_0 { label=\"ends\";
  \"source:0\" [peripheries=1];
  \"sink:0\" [peripheries=1];
  }
  \"middle:0\" [peripheries=2];
  \"source:0\" -> \"middle:0\" [label=\"in\"];
  \"middle:0\" -> \"sink:0\" [label=\"out\"];
}
"
    );
}
