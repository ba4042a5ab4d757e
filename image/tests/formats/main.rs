//! Each format against judges that are not ours: cpio, fsck.fat, mtools, sgdisk, qemu-img, objdump, objcopy.

mod azure;
mod containers;
mod cpio;
mod disk;
mod efi;
mod fat;
mod ident;
mod inspect;
mod kernel;
mod support;
mod uki;
mod vhd;
