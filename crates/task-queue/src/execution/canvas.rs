//! Canvas: the messages that follow from a task when it ends. These are its callbacks, its errbacks and the rest of its
//! chain.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::message::Message;
use crate::protocol::{Envelope, Origin, Signature, TaskRequest};
use crate::task::FollowUp;
use crate::timestamp::Timestamp;

const GROUP_WITHIN: &str = "a group inside its chain is a chord, which is not supported";

/// With the parts that a delay or `.dead` adds, a queue's name has to fit into AMQP's 255 bytes.
const MAX_QUEUE: usize = 190;
/// Options of a chain or a group as a whole, which its tasks do not inherit.
const OF_THE_WHOLE: [&str; 8] =
    ["link", "link_error", "chord", "task_id", "group_id", "group_index", "root_id", "parent_id"];
/// The maximum length of an AMQP property.
const MAX_ID: usize = 255;

/// Builds the messages of the tasks that follow from another.
#[derive(Debug)]
pub(crate) struct Canvas {
    pub(crate) origin: Origin,
    /// The queue of a signature that names none.
    pub(crate) default_queue: String,
}

/// A task that follows from another.
#[derive(Debug, PartialEq)]
pub(super) struct Child {
    pub(super) id: String,
    pub(super) next: FollowUp,
}

/// What a task that follows inherits from those before it.
struct Descent<'a> {
    root_id: &'a str,
    parent_id: &'a str,
    /// The rest of the chain after it, in reverse order: the next task is the last element.
    chain: Vec<Signature>,
}

impl Canvas {
    /// The tasks that follow a success: its callbacks, and the next task of its chain.
    pub(super) fn after_success(&self, request: &TaskRequest, result: &Value) -> Vec<Child> {
        let mut children = Vec::new();
        let given = std::slice::from_ref(result);
        for callback in &request.callbacks {
            self.apply(callback, given, request.descent(&[]), &mut children);
        }
        if let Some((next, rest)) = request.chain.split_last() {
            self.apply(next, given, request.descent(rest), &mut children);
        }
        children
    }

    /// An old-style errback, which receives the id of the failed task.
    pub(super) fn errback(&self, request: &TaskRequest, errback: &Signature) -> Vec<Child> {
        let mut children = Vec::new();
        self.apply(errback, &[Value::from(request.id.clone())], request.descent(&[]), &mut children);
        children
    }

    fn apply(&self, call: &Signature, given: &[Value], descent: Descent<'_>, children: &mut Vec<Child>) {
        let args = if call.immutable { call.args.clone() } else { [given, &call.args].concat() };
        match call.kind.as_deref() {
            Some("chain") => {
                let mut tasks = call.tasks();
                if let (Some(last), Some(link)) = (tasks.last_mut(), call.options.get("link")) {
                    last.add_to("link", link);
                }
                if let Some(errback) = call.options.get("link_error") {
                    tasks.iter_mut().for_each(|task| task.add_to("link_error", errback));
                }
                tasks.reverse();
                let Some(first) = tasks.pop().map(|first| first.with_options_of(call)) else { return };
                let chain = [descent.chain, tasks].concat();
                self.apply(&first, &args, Descent { chain, ..descent }, children);
            }
            Some("group") => {
                for mut task in call.tasks() {
                    let descent = Descent { chain: Vec::new(), ..descent };
                    if let Some(errback) = call.options.get("link_error") {
                        task.add_to("link_error", errback);
                    }
                    let task = task.of_group(call).with_options_of(call);
                    self.apply(&task, &args, descent, children);
                }
            }
            _ => children.push(self.publish(call, &args, &descent)),
        }
    }

    fn publish(&self, call: &Signature, args: &[Value], descent: &Descent<'_>) -> Child {
        let id = call.text("task_id").unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let envelope = Envelope {
            name: &call.task,
            id: &id,
            args,
            kwargs: &call.kwargs,
            embed: call.embed(&descent.chain),
            headers: call.headers(descent),
            priority: call
                .options
                .get("priority")
                .and_then(Value::as_u64)
                .map_or(0, |priority| priority.min(255) as u8),
            reply_to: call.text("reply_to"),
        };
        let message: Message = envelope.seal(&self.origin);
        let queue = call.queue().unwrap_or_else(|| self.default_queue.clone());
        // A task with an `eta` is held by the worker that receives it, as when a client calls it: only this worker's
        // own queues are known to be bound to the broker's delay queues.
        Child { id, next: FollowUp { queue, message, after: Duration::ZERO } }
    }
}

impl TaskRequest {
    fn descent(&self, chain: &[Signature]) -> Descent<'_> {
        let root_id = self.root_id.as_deref().unwrap_or(&self.id);
        Descent { root_id, parent_id: &self.id, chain: chain.to_vec() }
    }

    /// Why this worker cannot publish what follows from the task, if so. Checked before the task runs, because
    /// afterwards it would be too late to refuse.
    pub(super) fn unsupported(&self) -> Option<&'static str> {
        if self.chord.is_some() {
            return Some("it is a part of a chord, which is not supported");
        }
        // The next task is the last element. The first element ends the chain, and may be a group.
        if self.chain.iter().skip(1).any(Signature::is_group) {
            return Some(GROUP_WITHIN);
        }
        let mut calls = self.callbacks.iter().chain(&self.errbacks).chain(&self.chain);
        calls.find_map(Signature::unsupported)
    }
}

impl Signature {
    fn text(&self, option: &str) -> Option<String> {
        self.options.get(option)?.as_str().map(str::to_owned)
    }

    /// The signatures of a chain or a group. They were checked before the task ran.
    fn tasks(&self) -> Vec<Self> {
        Self::list(self.kwargs.get("tasks").cloned()).unwrap_or_default()
    }

    fn is_chain(&self) -> bool {
        self.kind.as_deref() == Some("chain")
    }

    /// Whether it ends in several tasks that run in parallel.
    fn is_group(&self) -> bool {
        let ends_in_one = || self.is_chain() && self.tasks().last().is_some_and(Self::is_group);
        self.kind.as_deref() == Some("group") || ends_in_one()
    }

    pub(super) fn unsupported(&self) -> Option<&'static str> {
        let chord = self.kind.as_deref() == Some("chord");
        if chord || self.options.get("chord").is_some_and(|chord| !chord.is_null()) {
            return Some("a task that follows it is a chord or a part of one, which is not supported");
        }
        if self.queue().is_some_and(|queue| !is_usable(&queue)) {
            return Some("a task that follows it names a queue that clients may not declare");
        }
        let too_long = |option: &str| self.text(option).is_some_and(|text| text.len() > MAX_ID);
        if too_long("task_id") || too_long("reply_to") {
            return Some("a task that follows it has an id or a reply queue that is longer than AMQP allows");
        }
        match self.kind.as_deref() {
            Some("chain" | "group") => match Self::list(self.kwargs.get("tasks").cloned()) {
                Ok(tasks) if self.is_chain() && tasks.iter().rev().skip(1).any(Self::is_group) => {
                    Some(GROUP_WITHIN)
                }
                Ok(tasks) => tasks.iter().find_map(Self::unsupported),
                Err(_) => Some("a chain or a group that follows it has a malformed signature"),
            },
            Some("map" | "starmap" | "chunks") => Some("a map follows it, which only Python workers support"),
            _ => None,
        }
    }

    /// Adds the options of the chain to its first task, or those of the group to each of its tasks, without those that
    /// concern the whole.
    fn with_options_of(mut self, whole: &Self) -> Self {
        let options = whole.options.iter().filter(|(name, _)| !OF_THE_WHOLE.contains(&name.as_str()));
        self.options.extend(options.map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// Appends callbacks, or errbacks, to its own.
    fn add_to(&mut self, option: &str, more: &Value) {
        let listed = |value: &Value| match value {
            Value::Null => Vec::new(),
            Value::Array(several) => several.clone(),
            one => vec![one.clone()],
        };
        let own = self.options.get(option).map(listed).unwrap_or_default();
        self.options.insert(option.to_owned(), Value::Array([own, listed(more)].concat()));
    }

    fn of_group(mut self, group: &Self) -> Self {
        if let Some(id) = group.options.get("task_id") {
            self.options.entry("group_id").or_insert_with(|| id.clone());
        }
        self
    }

    /// The queue it names, or the routing key it names on the default exchange, which is equivalent.
    pub(super) fn queue(&self) -> Option<String> {
        let direct = self.text("exchange").is_none_or(|exchange| exchange.is_empty());
        self.text("queue").or_else(|| self.text("routing_key").filter(|_| direct))
    }

    fn eta(&self) -> Option<Timestamp> {
        let countdown = self.options.get("countdown").and_then(Value::as_f64);
        match countdown.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            Some(countdown) => Some(Timestamp::now() + countdown),
            None => self.moment("eta"),
        }
    }

    /// A number means seconds from now.
    fn moment(&self, option: &str) -> Option<Timestamp> {
        match self.options.get(option)? {
            Value::String(text) => Timestamp::parse(text),
            Value::Number(seconds) => {
                let span = Duration::try_from_secs_f64(seconds.as_f64()?).unwrap_or_default();
                Some(Timestamp::now() + span)
            }
            _ => None,
        }
    }

    fn embed(&self, chain: &[Self]) -> Value {
        let option = |name: &str| match self.options.get(name) {
            None | Some(Value::Null) => Value::Null,
            Some(Value::Array(several)) if several.is_empty() => Value::Null,
            Some(Value::Array(several)) => json!(several),
            Some(one) => json!([one]),
        };
        let chain: Vec<Value> = chain.iter().map(Self::to_json).collect();
        let chain = if chain.is_empty() { Value::Null } else { Value::Array(chain) };
        json!({"callbacks": option("link"), "errbacks": option("link_error"), "chain": chain, "chord": null})
    }

    /// The headers in which it differs from a task called without options.
    fn headers(&self, descent: &Descent<'_>) -> Map<String, Value> {
        let option = |name: &str| self.options.get(name).cloned().unwrap_or_default();
        let moment =
            |moment: Option<Timestamp>| moment.map(|moment| json!(moment.to_string())).unwrap_or_default();
        let mut headers = match option("headers") {
            Value::Object(headers) => headers,
            _ => Map::new(),
        };
        let stamped = option("stamped_headers");
        let names = stamped.as_array().into_iter().flatten().filter_map(Value::as_str);
        let stamps: Map<String, Value> = names.map(|name| (name.to_owned(), option(name))).collect();
        let own = [
            ("root_id", json!(descent.root_id)),
            ("parent_id", json!(descent.parent_id)),
            ("eta", moment(self.eta())),
            ("expires", moment(self.moment("expires"))),
            ("shadow", option("shadow")),
            ("ignore_result", option("ignore_result")),
            ("timelimit", json!([option("time_limit"), option("soft_time_limit")])),
            ("group", option("group_id")),
            ("group_index", option("group_index")),
            ("stamped_headers", stamped),
            ("stamps", Value::Object(stamps)),
        ];
        headers.extend(own.map(|(name, value)| (name.to_owned(), value)));
        headers
    }
}

/// RabbitMQ refuses other names, however often they are declared.
fn is_usable(queue: &str) -> bool {
    (1..=MAX_QUEUE).contains(&queue.len()) && !queue.starts_with("amq.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(embed: &Value) -> TaskRequest {
        let headers = json!({"task": "t.first", "id": "1", "root_id": "0"}).as_object().unwrap().clone();
        let body = json!([[], {}, embed]).to_string().into();
        TaskRequest::decode(&Message { headers, body, ..Message::default() }).unwrap()
    }

    fn call(task: &str, kind: Option<&str>, tasks: &Value) -> Value {
        json!({"task": task, "args": ["own"], "kwargs": {"tasks": tasks}, "options": {}, "subtask_type": kind})
    }

    fn canvas() -> Canvas {
        Canvas { origin: Origin::new(), default_queue: "celery".to_owned() }
    }

    #[test]
    fn the_next_of_a_chain_gets_the_result_and_the_rest() {
        let step = |task: &str| json!({"task": task, "args": ["own"], "options": {"task_id": task, "queue": "other"}});
        let request = request(&json!({"chain": [step("t.last"), step("t.next")]}));
        let children = canvas().after_success(&request, &json!(7));
        let [Child { id, next }] = &children[..] else { panic!("{children:?}") };
        assert_eq!((id.as_str(), next.queue.as_str(), next.after), ("t.next", "other", Duration::ZERO));
        let given = TaskRequest::decode(&next.message).unwrap();
        assert_eq!((given.name.as_str(), given.args), ("t.next", vec![json!(7), json!("own")]));
        assert_eq!((given.root_id.as_deref(), given.parent_id.as_deref()), (Some("0"), Some("1")));
        assert_eq!((given.chain.len(), given.chain[0].task.as_str()), (1, "t.last"));
    }

    #[test]
    fn the_last_task_of_a_chain_gets_the_callbacks_of_the_chain() {
        let mut chain =
            call("celery.chain", Some("chain"), &json!([call("t.a", None, &json!([])), {"task": "t.b"}]));
        chain["options"]["link"] = json!([{"task": "t.after"}]);
        let children = canvas().after_success(&request(&json!({"callbacks": [chain]})), &json!(7));
        let given = TaskRequest::decode(&children[0].next.message).unwrap();
        assert_eq!((given.name.as_str(), given.args.len()), ("t.a", 3));
        assert_eq!(given.chain[0].task, "t.b");
        assert_eq!(given.chain[0].options["link"][0]["task"], "t.after");
    }

    #[test]
    fn what_cannot_be_carried_on_with_is_known_before_the_task_runs() {
        let one = json!([{"task": "t.a"}]);
        let group = call("celery.group", Some("group"), &one);
        let fine = [
            json!({"callbacks": [group]}),
            json!({"chain": [group, {"task": "t.next"}]}),
            json!({"callbacks": [call("celery.chain", Some("chain"), &json!([{"task": "t.a"}, group]))]}),
        ];
        let refused = [
            json!({"chord": {"task": "t.sum"}}),
            json!({"chain": [{"task": "t.last"}, group]}),
            json!({"callbacks": [call("celery.chord", Some("chord"), &one)]}),
            json!({"callbacks": [call("celery.chain", Some("chain"), &json!([group, {"task": "t.a"}]))]}),
            json!({"callbacks": [call("celery.chain", Some("chain"), &json!([5]))]}),
            json!({"callbacks": [{"task": "t.a", "options": {"queue": "amq.direct"}}]}),
            json!({"errbacks": [{"task": "t.a", "options": {"queue": "q".repeat(200)}}]}),
            json!({"callbacks": [call("celery.map", Some("map"), &one)]}),
        ];
        for embed in fine {
            assert_eq!(request(&embed).unsupported(), None, "{embed}");
        }
        for embed in refused {
            assert!(request(&embed).unsupported().is_some(), "{embed}");
        }
    }
}
