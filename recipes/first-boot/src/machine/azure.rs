//! Azure: its disc, its metadata service, and the report to the host that the machine is ready.

use std::fs;

use super::{devices, devices::Mounted, http, kernel_log::say};
use crate::{
    sources::{imds, ovf, wire_server, wire_server::GoalState},
    wish::Wish,
};

/// What the chassis of every machine there is tagged with; cloud-init and the Azure agents go by the same.
const CHASSIS: &str = "7783-7084-3265-9085-8269-3286-77";
const CHASSIS_TAG: &str = "/sys/class/dmi/id/chassis_asset_tag";

pub fn is_here() -> bool {
    fs::read_to_string(CHASSIS_TAG).is_ok_and(|tag| tag.trim() == CHASSIS)
}

/// What the disc says; None where there is no disc, as at every start but the first.
pub fn disc() -> Option<Wish> {
    for device in devices::optical() {
        let text = Mounted::new(&device, &["udf", "iso9660"]).and_then(|disc| disc.read("ovf-env.xml"));
        match text.and_then(|text| text.map(|text| ovf::read(&text)).transpose()) {
            Ok(Some(wish)) => return Some(wish),
            Ok(None) => {}
            Err(problem) => say(&format!("{}: {problem}", device.display())),
        }
    }
    None
}

/// Disc and service together. With a disc, a service that is silent is told and not fatal.
pub fn wish(disc: Option<Wish>) -> Result<Wish, String> {
    match (http::get(imds::URL, &[imds::HEADER]).and_then(|text| imds::read(&text)), disc) {
        (Ok(service), disc) => Ok(imds::merge(disc, service)),
        (Err(problem), Some(disc)) => {
            say(&problem);
            Ok(imds::merge(Some(disc), Wish::default()))
        }
        (Err(problem), None) => Err(problem),
    }
}

/// Tells the host that the machine is ready.
pub fn report_ready() -> Result<(), String> {
    let state = GoalState::read(&http::get(wire_server::GOAL_STATE_URL, &wire_server::HEADERS)?)?;
    let headers = [&wire_server::HEADERS[..], &[wire_server::HEALTH_TYPE]].concat();
    http::post(wire_server::HEALTH_URL, &headers, &state.ready())
}
