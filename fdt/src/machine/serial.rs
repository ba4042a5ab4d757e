//! Serial ports, with what they depend on.

use super::Serial;
use super::nodes::{GIC_SPI, IRQ_TYPE_LEVEL_HIGH};
use crate::tree::{Node, Range};

/// The fixed clock that a PL011 is fed from.
const UART_CLOCK: &str = "uart_clock";
const UART_REGISTERS_SIZE: u64 = 0x1000;

/// The port's node, the last, behind those that it refers to.
pub(super) fn memory_mapped(serial: &Serial) -> Vec<Node> {
    let nodes = match *serial {
        Serial::Pl011 { base, spi, clock_hz } => vec![uart_clock(clock_hz), pl011(base, spi)],
        Serial::SbsaUart { base, spi, baud } => vec![sbsa_uart(base, spi, baud)],
        Serial::Ns16550 { base, spi, clock_hz, register_shift } => {
            vec![ns16550(base, spi, clock_hz, register_shift)]
        }
        Serial::Ns16550Port { .. } => Vec::new(),
    };
    nodes.into_iter().map(|node| node.about("serial".to_owned(), None)).collect()
}

/// What OpenHCL's boot shim takes for the I/O ports of a PC; no kernel reads it.
pub(super) fn port_bus(serial: Option<&Serial>) -> Option<Node> {
    let Some(Serial::Ns16550Port { port, baud }) = serial else { return None };
    const PORTS: u64 = 8;
    let uart = Node::at("serial", u64::from(*port))
        .about("serial".to_owned(), None)
        .string("compatible", "ns16550")
        .reg([Range::new((*port).into(), PORTS)])
        .u32("current-speed", *baud);
    Some(Node::new("pio-bus").string("compatible", "x86-pio-bus").cell_counts(2, 2).child(uart))
}

/// clock/fixed-clock.yaml
fn uart_clock(hz: u32) -> Node {
    Node::new("uart-clock")
        .label(UART_CLOCK)
        .string("compatible", "fixed-clock")
        .u32("#clock-cells", 0)
        .u32("clock-frequency", hz)
}

/// serial/pl011.yaml, arm/primecell.yaml: the kernel binds no AMBA device without its bus clock, apb_pclk.
fn pl011(base: u64, spi: u32) -> Node {
    Node::at("serial", base)
        .strings("compatible", ["arm,pl011", "arm,primecell"])
        .reg([Range::new(base, UART_REGISTERS_SIZE)])
        .cells("interrupts", [level_spi(spi)])
        .phandles("clocks", [UART_CLOCK, UART_CLOCK])
        .strings("clock-names", ["uartclk", "apb_pclk"])
}

/// serial/arm,sbsa-uart.yaml: current-speed is required.
fn sbsa_uart(base: u64, spi: u32, baud: u32) -> Node {
    Node::at("serial", base)
        .string("compatible", "arm,sbsa-uart")
        .reg([Range::new(base, UART_REGISTERS_SIZE)])
        .cells("interrupts", [level_spi(spi)])
        .u32("current-speed", baud)
}

/// serial/8250.yaml: eight registers, and a clock by number or by reference.
fn ns16550(base: u64, spi: u32, clock_hz: u32, register_shift: u32) -> Node {
    const REGISTERS: u64 = 8;
    let node = Node::at("serial", base)
        .string("compatible", "ns16550a")
        .reg([Range::new(base, REGISTERS << register_shift.min(8))])
        .cells("interrupts", [level_spi(spi)])
        .u32("clock-frequency", clock_hz);
    if register_shift == 0 { node } else { node.u32("reg-shift", register_shift) }
}

fn level_spi(number: u32) -> [u32; 3] {
    [GIC_SPI, number, IRQ_TYPE_LEVEL_HIGH]
}
