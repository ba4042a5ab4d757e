//! Telling Azure that a machine is ready; without that its deployment waits, and fails in the end.
//!
//! Source: Microsoft, "Creating generalized images without a provisioning agent": the goal state is asked for, and the
//! health of the one role instance in it reported.

use roxmltree::Document;

pub const GOAL_STATE_URL: &str = "http://168.63.129.16/machine?comp=goalstate";
pub const HEALTH_URL: &str = "http://168.63.129.16/machine?comp=health";
pub const HEADERS: [(&str, &str); 2] = [("x-ms-version", "2012-11-30"), ("x-ms-agent-name", "first-boot")];
pub const HEALTH_TYPE: (&str, &str) = ("Content-Type", "text/xml; charset=utf-8");

/// Whom a report is about.
#[derive(Debug, PartialEq, Eq)]
pub struct GoalState {
    pub incarnation: String,
    pub container: String,
    pub instance: String,
}

impl GoalState {
    pub fn read(text: &str) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|problem| format!("goal state: {problem}"))?;
        let element = |name: &str| {
            let found = document.descendants().find(|node| node.tag_name().name() == name);
            let text = found.and_then(|node| node.text()).map(str::trim).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or_else(|| format!("goal state: no {name} in it"))
        };
        Ok(Self {
            incarnation: element("Incarnation")?,
            container: element("ContainerId")?,
            instance: element("InstanceId")?,
        })
    }

    /// The report that all is well.
    pub fn ready(&self) -> String {
        let [incarnation, container, instance] =
            [&self.incarnation, &self.container, &self.instance].map(|text| escaped(text));
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <Health xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\">\
             <GoalStateIncarnation>{incarnation}</GoalStateIncarnation>\
             <Container><ContainerId>{container}</ContainerId>\
             <RoleInstanceList><Role><InstanceId>{instance}</InstanceId>\
             <Health><State>Ready</State></Health></Role></RoleInstanceList></Container></Health>"
        )
    }
}

/// As the text of an XML element.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL_STATE: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Version>2012-11-30</Version><Incarnation>3</Incarnation>
<Machine><ExpectedState>Started</ExpectedState></Machine><Container><ContainerId>c-1</ContainerId>
<RoleInstanceList><RoleInstance><InstanceId>i&amp;1._vm</InstanceId><State>Started</State></RoleInstance></RoleInstanceList>
</Container></GoalState>"#;

    #[test]
    fn the_report_names_what_the_goal_state_named() {
        let state = GoalState::read(GOAL_STATE).unwrap();
        assert_eq!((state.incarnation.as_str(), state.container.as_str()), ("3", "c-1"));
        let report = state.ready();
        let read = Document::parse(&report).unwrap();
        let text = |name: &str| {
            read.descendants().find(|node| node.tag_name().name() == name).and_then(|node| node.text())
        };
        assert_eq!(text("InstanceId"), Some("i&1._vm"));
        assert_eq!(
            (text("GoalStateIncarnation"), text("ContainerId"), text("State")),
            (Some("3"), Some("c-1"), Some("Ready"))
        );
    }

    #[test]
    fn half_a_goal_state_is_none() {
        for (from, to) in
            [("InstanceId", "Other"), ("ContainerId", "Other"), ("<Incarnation>3", "<Incarnation>")]
        {
            assert!(GoalState::read(&GOAL_STATE.replace(from, to)).is_err(), "{from}");
        }
    }
}
