//! Signatures: the calls that a task carries, which are published when it ends.

use serde_json::{Map, Value, json};

/// One call. Its arguments are unresolved, typed JSON included: they are passed on to a queue and not to this task.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// The task's name.
    pub task: String,
    /// Positional arguments. The result is inserted before them unless the signature is immutable.
    pub args: Vec<Value>,
    /// Named arguments.
    pub kwargs: Map<String, Value>,
    /// How to publish it: `task_id`, `queue`, `countdown`, `link` and so on.
    pub options: Map<String, Value>,
    /// Whether the result of the previous task is not passed to it.
    pub immutable: bool,
    /// `chain`, `group`, `chord`, or `None` for a plain task.
    pub kind: Option<String>,
}

impl Signature {
    /// A call of a task with these arguments.
    pub fn of(task: &str, args: Vec<Value>) -> Self {
        let (kwargs, options) = (Map::new(), Map::new());
        Self { task: task.to_owned(), args, kwargs, options, immutable: false, kind: None }
    }

    /// The signatures of a field that holds one, a list of them, or nothing.
    pub(crate) fn list(value: Option<Value>) -> Result<Vec<Self>, String> {
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(several)) => several.into_iter().map(Self::read).collect(),
            Some(one) => Ok(vec![Self::read(one)?]),
        }
    }

    /// The JSON that Celery writes.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "task": self.task, "args": self.args, "kwargs": self.kwargs, "options": self.options,
            "subtask_type": self.kind, "immutable": self.immutable,
        })
    }

    /// A malformed signature is refused: if it were skipped, its task would never run.
    fn read(value: Value) -> Result<Self, String> {
        let malformed = |what: &str| Err(format!("a signature {what}"));
        let Value::Object(mut fields) = value else { return malformed("is not an object") };
        let Some(Value::String(task)) = fields.remove("task") else { return malformed("names no task") };
        let args = match fields.remove("args") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(args)) => args,
            Some(_) => return malformed("has arguments that are not a list"),
        };
        let mut object = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(format!("a signature has {name} that are not an object")),
        };
        let (kwargs, options) = (object("kwargs")?, object("options")?);
        let immutable = fields.get("immutable").and_then(Value::as_bool).unwrap_or(false);
        let kind = fields.get("subtask_type").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { task, args, kwargs, options, immutable, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_celery_writes_is_read() {
        let written = json!([{"task": "t.next", "args": [1], "kwargs": {"b": 2}, "options": {"task_id": "x"},
                              "subtask_type": null, "immutable": true}, {"task": "t.last"}]);
        let signatures = Signature::list(Some(written)).unwrap();
        assert_eq!((signatures.len(), signatures[0].task.as_str()), (2, "t.next"));
        assert!(signatures[0].immutable && signatures[0].options["task_id"] == "x");
        assert!(signatures[1].args.is_empty() && !signatures[1].immutable);
        assert_eq!(Signature::list(Some(json!({"task": "t"}))).unwrap().len(), 1);
        assert_eq!(Signature::list(Some(Value::Null)), Ok(Vec::new()));
    }

    #[test]
    fn a_malformed_one_is_refused_and_not_dropped() {
        for bad in [
            json!(5),
            json!([5]),
            json!([{}]),
            json!([{"task": 1}]),
            json!([{"task": "t", "args": {}}]),
            json!([{"task": "t", "kwargs": []}]),
            json!([{"task": "t", "options": 1}]),
        ] {
            assert!(Signature::list(Some(bad.clone())).is_err(), "{bad}");
        }
    }
}
