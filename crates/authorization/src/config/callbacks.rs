//! The settings of callbacks that several services share: the guard applies where a URL is accepted and where it is dialled; the
//! worker signs, and public-api serves the public keys.

use common::address_guard::{self, AddressGuard, AllowedNetwork};
use common::webhook_signature::{WebhookKey, WebhookSecret, WebhookSigner};
use service_runtime::settings::{SettingError, Settings};

use crate::settings::{
    CALLBACK_ALLOWED_NETWORKS, CALLBACK_ALLOWED_PORTS, CALLBACK_DENIED_NETWORKS, WEBHOOK_PRIVATE_KEY,
    WEBHOOK_SECRET,
};

/// Which addresses may be called back.
///
/// # Errors
/// Returns an error if a setting has a bad value.
pub fn address_guard(settings: &Settings) -> Result<AddressGuard, SettingError> {
    let ports = settings.list(&CALLBACK_ALLOWED_PORTS, address_guard::ports)?;
    Ok(AddressGuard::new(
        settings.list(&CALLBACK_ALLOWED_NETWORKS, AllowedNetwork::parse)?,
        settings.list(&CALLBACK_DENIED_NETWORKS, address_guard::network)?,
        settings.is_given(&CALLBACK_ALLOWED_PORTS).then_some(ports),
    ))
}

/// The keys that sign callbacks.
///
/// # Errors
/// Returns an error if a setting contains an invalid key. The error does not show it.
pub fn webhook_signer(settings: &Settings) -> Result<WebhookSigner, SettingError> {
    let secrets = settings.list(&WEBHOOK_SECRET, WebhookSecret::parse)?;
    Ok(WebhookSigner::new(secrets, settings.list(&WEBHOOK_PRIVATE_KEY, WebhookKey::parse)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_holds_no_network_is_refused_by_name() {
        for (setting, text) in [
            (&CALLBACK_ALLOWED_NETWORKS, "10.0.0.0/33"),
            (&CALLBACK_DENIED_NETWORKS, "everywhere"),
            (&CALLBACK_ALLOWED_PORTS, "90-80"),
        ] {
            let error = address_guard(&Settings::of([(setting, text.to_owned())])).unwrap_err();
            assert!(error.to_string().contains(setting.name), "{error}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_by_name_and_never_shown() {
        for (setting, text) in [(&WEBHOOK_SECRET, "whsec_BwcH"), (&WEBHOOK_PRIVATE_KEY, "whsk_BwcH")] {
            let error = webhook_signer(&Settings::of([(setting, text.to_owned())])).unwrap_err().to_string();
            assert!(
                error.contains(setting.name) && error.contains("****") && !error.contains("BwcH"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_default_ports_are_those_of_the_guard() {
        let (ours, guard) = (address_guard(&Settings::default()).unwrap(), AddressGuard::default());
        for port in [1, 79, 80, 81, 443, 444, 1023, 1024, u16::MAX] {
            assert_eq!(ours.check_port(port).is_ok(), guard.check_port(port).is_ok(), "{port}");
        }
    }
}
