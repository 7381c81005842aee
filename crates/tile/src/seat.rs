//! From a layout to a tile's ports: the same for a thread and for a process that has joined.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    Topology,
    arena::Arena,
    bell::Bell,
    control::Listener,
    host::{RunState, Seat},
    layer::Words,
    link::{Consumer, Producer},
    metrics::Counters,
    object::Object,
    tile::{Ports, Tile},
    topology::{LinkLayout, TileDeclaration, TileLayout, Use, layout::Extent},
    workspace::Workspace,
};

/// Workspaces by their number; those that a process did not join are missing.
pub(crate) struct Memory(pub(crate) Vec<Option<Workspace>>);

impl Memory {
    fn workspace(&self, number: usize) -> &Workspace {
        self.0[number].as_ref().expect("a tile joins all workspaces that it uses")
    }

    pub(crate) fn words(&self, extent: &Extent) -> Words {
        self.workspace(extent.workspace).words(extent.offset, extent.word_count())
    }

    pub(crate) fn bell(&self, extent: &Extent) -> Bell {
        Bell::new(self.words(extent))
    }
}

/// What a tile needs, by where it lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SeatLayout {
    number: usize,
    arena_bytes: usize,
    pub(crate) own: TileLayout,
    inputs: Vec<InputLayout>,
    outputs: Vec<OutputLayout>,
    /// Objects, and whether the tile writes them.
    objects: Vec<(Extent, bool)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct InputLayout {
    link: LinkLayout,
    /// Which of the link's consumers this tile is.
    index: usize,
    /// Whether its bytes can be written by another process meanwhile.
    foreign: bool,
    producer_bell: Extent,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct OutputLayout {
    link: LinkLayout,
    consumer_bells: Vec<Extent>,
}

impl SeatLayout {
    pub(crate) fn of(topology: &Topology, number: usize) -> Self {
        let (declared, layout) = (&topology.declared, &topology.layout);
        let tile = &declared.tiles[number];
        let link = |name: &str| {
            let position = declared.links.iter().position(|link| link.name == name);
            layout.links[position.expect("names were validated")].clone()
        };
        let bell = |tile: &usize| layout.tiles[*tile].bell;
        // Who can write the progress of any consumer can have bytes overwritten that others read.
        let has_process = declared.tiles.iter().any(TileDeclaration::is_process);
        let may_be_written = |extent: &Extent| {
            has_process && declared.workspaces[extent.workspace].may_be_written_by_processes()
        };
        let input = |name: &str| {
            let link = link(name);
            let index = link.consumers.iter().position(|consumer| *consumer == number);
            InputLayout {
                index: index.expect("it consumes the link"),
                // A process is judged by what it gives; what happens to its own reading is no harm.
                foreign: !tile.is_process()
                    && [&link.ring, &link.progress, &link.data].into_iter().any(may_be_written),
                producer_bell: bell(&link.producer),
                link,
            }
        };
        let output = |name: &str| {
            let link = link(name);
            OutputLayout { consumer_bells: link.consumers.iter().map(bell).collect(), link }
        };
        let object = |(how, name): &(Use, String)| {
            let is_writable = match how {
                Use::Produces | Use::Consumes => return None,
                Use::Reads => false,
                Use::Writes => true,
            };
            let position = declared.objects.iter().position(|object| object.name == *name);
            Some((layout.objects[position.expect("names were validated")], is_writable))
        };
        Self {
            number,
            arena_bytes: tile.arena_bytes,
            own: layout.tiles[number],
            inputs: tile.links(Use::Consumes).map(input).collect(),
            outputs: tile.links(Use::Produces).map(output).collect(),
            objects: tile.uses.iter().filter_map(object).collect(),
        }
    }

    /// The workspaces it needs.
    pub(crate) fn workspaces(&self) -> Vec<usize> {
        let mut numbers = vec![self.own.control.workspace, self.own.bell.workspace];
        let links = self.inputs.iter().map(|input| &input.link);
        for link in links.chain(self.outputs.iter().map(|output| &output.link)) {
            numbers.extend([link.ring.workspace, link.progress.workspace, link.data.workspace]);
        }
        numbers.extend(self.objects.iter().map(|(extent, _)| extent.workspace));
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Seats a tile.
    pub(crate) fn seat<'env>(&self, memory: &Memory, tile: Box<dyn Tile + 'env>) -> Seat<'env> {
        let consumer = |input: &InputLayout| {
            let data = memory.workspace(input.link.ring.workspace);
            Consumer::new(
                input.link.shape(),
                memory.words(&input.link.ring),
                memory.words(&input.link.progress),
                input.index,
                data.region(0, data.bytes()),
                input.foreign,
                memory.bell(&input.producer_bell),
            )
        };
        let producer = |output: &OutputLayout| {
            let data = &output.link.data;
            Producer::new(
                output.link.shape(),
                memory.words(&output.link.ring),
                memory.words(&output.link.progress),
                memory.workspace(data.workspace).region(data.offset, data.bytes),
                output.consumer_bells.iter().map(|bell| memory.bell(bell)).collect(),
            )
        };
        let object = |(extent, is_writable): &(Extent, bool)| {
            Object::new(memory.words(extent), *is_writable)
        };
        Seat {
            number: self.number,
            tile,
            inputs: self.inputs.iter().map(consumer).collect(),
            ports: Ports {
                outputs: self.outputs.iter().map(producer).collect(),
                objects: self.objects.iter().map(object).collect(),
                arena: Arena::new(self.arena_bytes),
                counters: Counters::new(memory.words(&self.own.metrics)),
            },
            listener: Listener::new(memory.words(&self.own.control)),
            text: memory.words(&self.own.text),
            run: RunState::Idle,
            is_held_back: false,
            turn_time: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LinkDeclaration, Place, TopologyBuilder};

    #[test]
    fn bytes_are_foreign_to_threads_where_a_process_can_write_anything_of_the_link() {
        let link = |name: &str, workspace: &str, progress: &str| LinkDeclaration {
            name: name.to_string(),
            workspace: workspace.to_string(),
            progress_workspace: progress.to_string(),
            depth: 4,
            data_bytes: 64,
            is_feedback: false,
        };
        let links = [
            (link("local", "local", "local"), false),
            (link("read", "feed", "local"), false),
            (link("progress", "feed", "work"), true),
            (link("bytes", "work", "local"), true),
        ];
        for has_process in [false, true] {
            let place = if has_process { Place::Process } else { Place::Thread };
            let mut process = TileDeclaration::new("process", 0).place(place);
            let mut source = TileDeclaration::new("source", 0);
            let mut sink = TileDeclaration::new("sink", 0);
            let mut builder = TopologyBuilder::new("test")
                .private("local")
                .shared("feed", false)
                .shared("work", true)
                .link(link("in", "feed", "work"));
            for (link, _) in &links {
                builder = builder.link(link.clone());
                (source, sink) = (source.produces(&link.name), sink.consumes(&link.name));
            }
            (source, process) = (source.produces("in"), process.consumes("in"));
            let topology = builder.tile(source).tile(process).tile(sink).build().expect("sound");
            let foreign = |number| {
                let seat = SeatLayout::of(&topology, number);
                seat.inputs.iter().map(|input| input.foreign).collect::<Vec<_>>()
            };
            let expected: Vec<_> =
                links.iter().map(|(_, foreign)| has_process && *foreign).collect();
            assert_eq!(foreign(2), expected);
            assert_eq!(foreign(1), [false], "a process judges nothing");
        }
    }
}
