//! Byte formats of bootable images: cpio, FAT32, GPT, whole disks, fixed VHD, VHDX, qcow2, unified kernel images,
//! and what an IGVM file holds.
//!
//! Values in, bytes out. Nothing here opens a file, reads the environment, starts a process, asks the time or draws
//! a random number: sizes, identifiers and times come from the caller, contents through `Read`, and results go to
//! `Write` (+ `Seek`). Every format is decided in full, and every refusal made, before the first byte is written; the
//! same specification gives the same bytes.
//!
//! | module | format | result |
//! |---|---|---|
//! | [`cpio`] | newc archive (initramfs) | a stream |
//! | [`fat`] | FAT32 file system | a [`layout::Layout`] |
//! | [`disk`] | GPT disk with its partitions' contents | a [`layout::Layout`] |
//! | [`efi`] | EFI application made of an ELF program | bytes |
//! | [`uki`] | unified kernel image | a [`layout::Layout`] |
//! | [`vhd`] | footer of a fixed VHD | 512 bytes |
//! | [`vhdx`], [`qcow2`] | a disk in the formats of Hyper-V and QEMU | one pass over a [`source::Source`] |
//! | [`igvm`] | pages, registers and parameters of an IGVM file | an [`igvm::Layout`] |
//! | [`inspect`] | images of others | an [`inspect::Report`] |
//! | [`ident`] | GUIDs and volume ids from a seed and a role | values |

pub mod arch;
pub mod cpio;
pub mod disk;
pub mod efi;
pub mod fat;
mod fields;
pub mod gpt;
pub mod ident;
pub mod igvm;
pub mod inspect;
pub mod kernel;
pub mod layout;
pub mod qcow2;
pub mod source;
mod sparse;
pub mod uki;
pub mod vhd;
pub mod vhdx;

pub use arch::Arch;
pub use uuid::Uuid;
