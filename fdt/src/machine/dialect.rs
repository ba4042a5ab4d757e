//! Where the readers of a tree differ about the same machine, as data, each difference with its reason. Another
//! dialect is another constant here, and another field where it needs one.

/// What a family of kernels expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// `#size-cells` of the VMBus node.
    pub vmbus_size_cells: u32,
}

/// Linux as released; what its bindings say, and nothing else.
pub const MAINLINE: Dialect = Dialect {
    // bus/microsoft,vmbus.yaml: `#size-cells: const: 1`, so a window of 4 GiB or more has to be given in parts.
    vmbus_size_cells: 1,
};
