//! The message of a retry: the same task with the requested changes.

use serde_json::{Map, Value};

use super::in_flight::InFlight;
use crate::message::Message;
use crate::protocol::{binding, retried, with_arguments};
use crate::task::Retry;
use crate::timestamp::Timestamp;

impl Retry {
    /// The message to publish. Its body was decoded before, so it can be decoded here.
    pub(super) fn apply(&self, task: &InFlight) -> Message {
        let mut again = retried(&task.message);
        if let Some((args, kwargs)) = self.arguments(task)
            && let Ok(changed) = with_arguments(&again, &args, &kwargs)
        {
            again = changed;
        }
        let eta = (!self.after.is_zero()).then(|| (Timestamp::now() + self.after).to_string());
        again.headers.insert("eta".to_owned(), eta.into());
        again.headers.extend(self.headers.clone());
        if let Some(priority) = self.priority {
            again.properties.priority = Some(priority);
        }
        if let Some(expires) = self.expires {
            again.headers.insert("expires".to_owned(), expires.to_string().into());
        }
        again
    }

    /// Arguments that are not replaced are kept: a named argument that is now passed by position is dropped, and a
    /// positional one that is now passed by name is replaced in its place.
    fn arguments(&self, task: &InFlight) -> Option<(Vec<Value>, Map<String, Value>)> {
        let places: Vec<&str> = binding::by_place(task.declared.parameters).collect();
        match (&self.args, &self.kwargs) {
            (None, None) => None,
            (Some(args), Some(kwargs)) => Some((args.clone(), kwargs.clone())),
            (Some(args), None) => {
                let mut kwargs = task.request.kwargs.clone();
                kwargs.retain(|name, _| !places.iter().take(args.len()).any(|place| place == name));
                Some((args.clone(), kwargs))
            }
            (None, Some(kwargs)) => {
                let (mut args, mut kwargs) = (task.request.args.clone(), kwargs.clone());
                for (arg, place) in args.iter_mut().zip(places) {
                    if let Some(value) = kwargs.remove(place) {
                        *arg = value;
                    }
                }
                Some((args, kwargs))
            }
        }
    }
}
