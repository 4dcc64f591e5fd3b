//! Tasks that compute: Python's `+` and `*` on JSON values.

use std::time::Duration;

use serde_json::{Value, json};
use task_queue::task::DuplicateTask;
use task_queue::{Failure, Outcome, Tasks};

use super::task::task;

pub(crate) fn register(tasks: Tasks) -> Result<Tasks, DuplicateTask> {
    tasks
        .register(Identity)?
        .register(Add)?
        .register(AddNotTyped)?
        .register(AddIgnoreResult)?
        .register(AddWithResult)?
        .register(AddPydantic)?
        .register(AddPydanticStrings)?
        .register(Mul)?
        .register(Tsum)?
        .register(Xsum)?
        .register(DelayedSum)
}

task!(Identity "t.integration.tasks.identity" ["x"] { x: Value } |args, _| Outcome::Succeeded(args.x));

task!(Add "t.integration.tasks.add" ["x", "y", "z="] { x: Value, y: Value, z: Option<Value> } |args, _| {
    match (plus(&args.x, &args.y), args.z) {
        (Ok(sum), Some(z)) if is_true(&z) => plus(&sum, &z).into(),
        (sum, _) => sum.into(),
    }
});

task!(AddNotTyped "t.integration.tasks.add_not_typed" ["x", "y"] { x: Value, y: Value } |args, _| {
    plus(&args.x, &args.y).into()
});

task!(AddIgnoreResult "t.integration.tasks.add_ignore_result" ["x", "y"] { x: Value, y: Value } |args, _| {
    plus(&args.x, &args.y).into()
}; const IGNORE_RESULT: bool = true);

task!(AddWithResult "t.integration.tasks.add_with_result" ["x", "y"] { x: Value, y: Value } |args, _| {
    plus(&args.x, &args.y).into()
});

#[derive(serde::Deserialize)]
struct AddParameterModel {
    x: i64,
    y: i64,
}

task!(AddPydantic "t.integration.tasks.add_pydantic" ["data"] { data: AddParameterModel } |args, _| {
    Outcome::Succeeded(json!({"result": args.data.x + args.data.y}))
});

task!(AddPydanticStrings "t.integration.tasks.add_pydantic_string_annotations" ["data"] { data: AddParameterModel }
|args, _| {
    Outcome::Succeeded(json!({"result": args.data.x + args.data.y}))
});

task!(Mul "t.integration.tasks.mul" ["x", "y"] { x: Value, y: Value } |args, _| times(&args.x, &args.y).into());

task!(Tsum "t.integration.tasks.tsum" ["nums"] { nums: Vec<Value> } |args, _| sum(&args.nums).into());

task!(Xsum "t.integration.tasks.xsum" ["nums"] { nums: Vec<Value> } |args, _| {
    let flat = args.nums.iter().map(|number| match number {
        Value::Array(numbers) => sum(numbers),
        number => Ok(number.clone()),
    });
    flat.collect::<Result<Vec<Value>, Failure>>().and_then(|numbers| sum(&numbers)).into()
});

task!(DelayedSum "t.integration.tasks.delayed_sum" ["numbers", "pause_time="]
{ numbers: Vec<Value>, pause_time: Option<f64> } |args, _| {
    tokio::time::sleep(Duration::from_secs_f64(args.pause_time.unwrap_or(1.0))).await;
    sum(&args.numbers).into()
}; const TRACK_STARTED: bool = true);

fn sum(numbers: &[Value]) -> Result<Value, Failure> {
    numbers.iter().try_fold(json!(0), |sum, number| plus(&sum, number))
}

fn plus(x: &Value, y: &Value) -> Result<Value, Failure> {
    match (x, y) {
        (Value::String(x), Value::String(y)) => Ok(json!(format!("{x}{y}"))),
        (Value::Array(x), Value::Array(y)) => Ok(json!([&x[..], &y[..]].concat())),
        _ => numbers(x, y, "+", i64::checked_add, |x, y| x + y),
    }
}

fn times(x: &Value, y: &Value) -> Result<Value, Failure> {
    numbers(x, y, "*", i64::checked_mul, |x, y| x * y)
}

/// Python's integers are unbounded; beyond 64 bits this returns an error.
fn numbers(
    x: &Value,
    y: &Value,
    operator: &str,
    exact: fn(i64, i64) -> Option<i64>,
    float: fn(f64, f64) -> f64,
) -> Result<Value, Failure> {
    if let (Some(x), Some(y)) = (x.as_i64(), y.as_i64()) {
        let result = exact(x, y).map(Value::from);
        return result.ok_or_else(|| Failure::new("OverflowError", "beyond 64 bits"));
    }
    match (x.as_f64(), y.as_f64()) {
        (Some(x), Some(y)) => Ok(json!(float(x, y))),
        _ => {
            let (x, y) = (type_of(x), type_of(y));
            let text = format!("unsupported operand type(s) for {operator}: '{x}' and '{y}'");
            Err(Failure::new("TypeError", text))
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
