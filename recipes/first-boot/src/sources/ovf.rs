//! `ovf-env.xml`, the file on the disc with which Azure starts a machine for the first time.
//!
//! Source: Azure's classic "Provisioning configuration set" (LinuxProvisioningConfigurationSet), as the Azure Linux
//! agent (Azure/WALinuxAgent) and azure-init (Azure/azure-init) read it; namespaces differ between writers, so elements
//! go by their local names.

use roxmltree::{Document, Node};

use crate::wish::{Hostname, PublicKey, User, UserName, Wish};

/// What the file asks for. Passwords are neither used nor told.
pub fn read(text: &str) -> Result<Wish, String> {
    let wrong = |problem: &dyn std::fmt::Display| format!("ovf-env.xml: {problem}");
    // Document types, and with them entities of their own, are refused by default.
    let document = Document::parse(text).map_err(|problem| wrong(&problem))?;
    let sets = |node: &Node| node.tag_name().name() == "LinuxProvisioningConfigurationSet";
    let set = document.descendants().find(sets).ok_or_else(|| {
        wrong(&"no LinuxProvisioningConfigurationSet in it: is the machine made for Linux?")
    })?;
    let mut wish = Wish::default();
    let (mut name, mut keys) = (None, Vec::new());
    for element in set.children().filter(Node::is_element) {
        let key = element.tag_name().name();
        let at = format!("ovf-env.xml: {key}");
        let text = element.text().unwrap_or_default().trim();
        match key {
            "HostName" => wish.hostname = wish.checked(&at, Hostname::parse(text)),
            "UserName" => name = wish.checked(&at, UserName::parse(text)),
            "SSH" => keys.extend(public_keys(&element, &mut wish)),
            "ConfigurationSetType" => {}
            "DisableSshPasswordAuthentication" if text.eq_ignore_ascii_case("true") => {}
            _ if text.is_empty() && !element.has_children() => {}
            _ => wish.leave_out(at),
        }
    }
    if let Some(name) = name {
        // Without keys it waits for those of the metadata service.
        wish.users.push(User { name, keys, administrator: true });
    }
    Ok(wish)
}

fn public_keys(ssh: &Node, wish: &mut Wish) -> Vec<PublicKey> {
    let mut keys = Vec::new();
    for key in ssh.descendants().filter(|node| node.tag_name().name() == "PublicKey") {
        let value = key.children().find(|node| node.tag_name().name() == "Value");
        match value.and_then(|value| value.text()).map(str::trim).filter(|text| !text.is_empty()) {
            Some(text) => keys.extend(wish.checked("ovf-env.xml: PublicKey", PublicKey::parse(text))),
            None => wish.leave_out("ovf-env.xml: PublicKey: only the fingerprint of a certificate"),
        }
    }
    if ssh.descendants().any(|node| node.tag_name().name() == "KeyPair") {
        wish.leave_out("ovf-env.xml: KeyPairs");
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDJEOEIuRHXZugLVXax5y4MyzZKlQJ5xmNcid5caBLtp7 a@b";

    fn file(set: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
<ns0:Environment xmlns:ns0="http://schemas.dmtf.org/ovf/environment/1" xmlns:ns1="http://schemas.microsoft.com/windowsazure">
  <ns1:ProvisioningSection><ns1:Version>1.0</ns1:Version>
    <ns1:LinuxProvisioningConfigurationSet>
      <ns1:ConfigurationSetType>LinuxProvisioningConfiguration</ns1:ConfigurationSetType>{set}
    </ns1:LinuxProvisioningConfigurationSet></ns1:ProvisioningSection>
  <ns1:PlatformSettingsSection><ns1:Version>1.0</ns1:Version></ns1:PlatformSettingsSection>
</ns0:Environment>"#
        )
    }

    #[test]
    fn what_azure_asks_for() {
        let set = format!(
            "<ns1:HostName>vm-1</ns1:HostName><ns1:UserName>azureuser</ns1:UserName><ns1:UserPassword></ns1:UserPassword>\
             <ns1:DisableSshPasswordAuthentication>true</ns1:DisableSshPasswordAuthentication><ns1:SSH><ns1:PublicKeys>\
             <ns1:PublicKey><ns1:Fingerprint>EB0C</ns1:Fingerprint><ns1:Path>/home/azureuser/.ssh/authorized_keys</ns1:Path>\
             <ns1:Value>{KEY}</ns1:Value></ns1:PublicKey></ns1:PublicKeys></ns1:SSH>"
        );
        let wish = read(&file(&set)).unwrap();
        assert_eq!(wish.hostname.as_ref().map(Hostname::as_str), Some("vm-1"));
        let [user] = &wish.users[..] else { panic!("one user: {wish:?}") };
        assert_eq!((user.name.as_str(), user.keys[0].as_str(), user.administrator), ("azureuser", KEY, true));
        assert_eq!(wish.not_applied, [""; 0]);
    }

    #[test]
    fn what_is_not_applied_is_named_and_no_password_is_told() {
        let set = "<ns1:HostName>a_b</ns1:HostName><ns1:UserName>../x</ns1:UserName><ns1:UserPassword>hunter2</ns1:UserPassword>\
                   <ns1:CustomData>eA==</ns1:CustomData><ns1:SSH><ns1:PublicKeys><ns1:PublicKey>\
                   <ns1:Fingerprint>EB0C</ns1:Fingerprint></ns1:PublicKey></ns1:PublicKeys></ns1:SSH>";
        let wish = read(&file(set)).unwrap();
        assert_eq!((&wish.hostname, wish.users.len()), (&None, 0));
        let told = wish.not_applied.join("\n");
        for wanted in
            ["HostName: \"a_b\"", "UserName: \"../x\"", "UserPassword", "CustomData", "only the fingerprint"]
        {
            assert!(told.contains(wanted), "{told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
    }

    #[test]
    fn hostile_files_are_refused() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>";
        for text in ["", "<a>", "<Environment/>", bomb, &"<a>".repeat(50_000)] {
            assert!(read(text).is_err(), "{:.40}", text);
        }
    }
}
