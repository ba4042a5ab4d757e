//! Disks that go to Azure: uploads to Microsoft's emulator, judged by Microsoft's own library, over lines that are slow or
//! break; and images of them, as a
//! template and as commands.

#![allow(clippy::single_range_in_vec_init, reason = "a list of one range is meant")]

#[path = "azure/account.rs"]
mod account;
#[path = "remote/azurite.rs"]
#[allow(dead_code, reason = "each test program uses a part of it")]
mod azurite;
mod harness;
#[path = "azure/image.rs"]
mod image;
#[path = "azure/interrupted.rs"]
mod interrupted;
#[path = "azure/proxy.rs"]
mod proxy;
#[path = "azure/refused.rs"]
mod refused;
#[path = "azure/upload.rs"]
mod upload;
