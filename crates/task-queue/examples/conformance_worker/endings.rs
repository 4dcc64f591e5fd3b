//! Tasks that fail, are retried, are rejected or replaced.

use std::time::Duration;

use serde_json::{Map, Value, json};
use task_queue::protocol::Signature;
use task_queue::task::DuplicateTask;
use task_queue::{Failure, Outcome, Retry, Tasks, Timestamp};

use super::requests::custom_headers;
use super::task::{MODULE, task};

pub(crate) fn register(tasks: Tasks) -> Result<Tasks, DuplicateTask> {
    tasks
        .register(RaiseError)?
        .register(Fail)?
        .register(FailUnpickleable)?
        .register(RetryTask)?
        .register(RetryUnpickleable)?
        .register(RetryWithArgs)?
        .register(RetryWithKwargs)?
        .register(RetryOnce)?
        .register(RetryOnceIgnoreResult)?
        .register(RetryOnceWithResult)?
        .register(RetryOncePriority)?
        .register(RetryOnceHeaders)?
        .register(AutoRetry)?
        .register(RejectThenSucceed)?
        .register(RejectWithoutRequeue)?
        .register(RecordReplacedTaskNesting)?
        .register(AddReplaced)?
        .register(FailReplaced)
}

task!(RaiseError "t.integration.tasks.raise_error" ["*args"] {} |_, _| {
    Failure::new("ValueError", "deliberate error").into()
});

task!(Fail "t.integration.tasks.fail" ["*args"] { args: Vec<Value> } |args, _| {
    let exc_args = [&[json!("Task expected to fail")], &args.args[..]].concat();
    Failure::of(MODULE, "ExpectedException", exc_args).into()
});

task!(FailUnpickleable "t.integration.tasks.fail_unpickleable" ["foo", "bar"] { foo: Value } |args, _| {
    unpickleable(&args.foo).into()
});

// The Python task counts in the worker process; this one reads the count from the message.
task!(RetryTask "t.integration.tasks.retry" ["return_value="] { return_value: Option<Value> } |args, context| {
    match args.return_value {
        Some(value) if context.retries >= 3 => Outcome::Succeeded(value),
        _ => {
            let failure = Some(Failure::of(MODULE, "ExpectedException", Vec::new()));
            Retry { failure, ..Retry::after(Duration::from_secs(5)) }.into()
        }
    }
});

#[derive(serde::Deserialize)]
struct RetryKwargs {
    countdown: f64,
    max_retries: u32,
}

task!(RetryUnpickleable "t.integration.tasks.retry_unpickleable" ["foo", "bar", "retry_kwargs"]
{ foo: Value, retry_kwargs: RetryKwargs } |args, _| {
    let failure = Some(unpickleable(&args.foo));
    let max_retries = Some(args.retry_kwargs.max_retries);
    Retry { failure, max_retries, ..Retry::after(seconds(args.retry_kwargs.countdown)) }.into()
});

task!(RetryWithArgs "t.integration.tasks.retry_with_args_after_kwargs" ["foo", "bar", "label="]
{ foo: i64, bar: i64, label: Option<String> } |args, context| {
    match context.retries {
        0 => Retry { args: Some(vec![json!(args.foo + 1), json!(args.bar + 1)]), ..Retry::after(Duration::ZERO) }.into(),
        retries => Outcome::Succeeded(
            json!({"foo": args.foo, "bar": args.bar, "label": args.label, "retries": retries, "is_eager": false}),
        ),
    }
}; const MAX_RETRIES: Option<u32> = Some(1));

task!(RetryWithKwargs "t.integration.tasks.retry_with_kwargs_after_args" ["foo", "bar"] { foo: i64, bar: i64 }
|args, context| {
    match context.retries {
        0 => {
            let kwargs = Some(Map::from_iter([("foo".to_owned(), json!(args.foo + 1))]));
            Retry { kwargs, ..Retry::after(Duration::ZERO) }.into()
        }
        retries => {
            Outcome::Succeeded(json!({"foo": args.foo, "bar": args.bar, "retries": retries, "is_eager": false}))
        }
    }
}; const MAX_RETRIES: Option<u32> = Some(1));

task!(RetryOnce "t.integration.tasks.retry_once" ["*args", "expires=", "max_retries=", "countdown="]
{ expires: Option<f64>, max_retries: Option<u32>, countdown: Option<f64> } |args, context| {
    match context.retries {
        0 => Retry {
            expires: args.expires.map(|expires| Timestamp::now() + seconds(expires)),
            max_retries: Some(args.max_retries.unwrap_or(1)),
            ..Retry::after(seconds(args.countdown.unwrap_or(0.1)))
        }
        .into(),
        retries => Outcome::Succeeded(json!(retries)),
    }
}; const MAX_RETRIES: Option<u32> = Some(1));

task!(RetryOnceIgnoreResult "t.integration.tasks.retry_once_ignore_result" [] {} |_, context| {
    match context.retries {
        0 => Retry::after(Duration::ZERO).into(),
        retries => Outcome::Succeeded(json!(retries)),
    }
}; const IGNORE_RESULT: bool = true);

task!(RetryOnceWithResult "t.integration.tasks.retry_once_with_result" [] {} |_, context| {
    match context.retries {
        0 => Retry::after(Duration::ZERO).into(),
        retries => Outcome::Succeeded(json!(retries)),
    }
});

task!(RetryOncePriority "t.integration.tasks.retry_once_priority"
["*args", "expires=", "max_retries=", "countdown="] { max_retries: Option<u32>, countdown: Option<f64> }
|args, context| {
    match context.retries {
        0 => once_more(args.max_retries, args.countdown),
        _ => Outcome::Succeeded(json!(context.request.priority)),
    }
}; const MAX_RETRIES: Option<u32> = Some(1));

task!(RetryOnceHeaders "t.integration.tasks.retry_once_headers" ["*args", "max_retries=", "countdown="]
{ max_retries: Option<u32>, countdown: Option<f64> } |args, context| {
    match context.retries {
        0 => once_more(args.max_retries, args.countdown),
        _ => Outcome::Succeeded(Value::Object(custom_headers(&context))),
    }
}; const MAX_RETRIES: Option<u32> = Some(1));

task!(AutoRetry "auto_retry_class_task" [] {} |_, context| {
    match context.retries {
        0 => {
            let failure = Some(Failure::of("builtins", "ValueError", Vec::new()));
            Retry { failure, ..Retry::after(Duration::from_secs(1)) }.into()
        }
        retries => Outcome::Succeeded(json!(retries)),
    }
}; const MAX_RETRIES: Option<u32> = Some(1));

task!(#[acks_late] RejectThenSucceed "t.integration.tasks.reject_then_succeed" [] {} |_, context| {
    match context.deliveries {
        1 => Outcome::Rejected { reason: "the first delivery".to_owned(), requeue: true },
        _ => Outcome::Succeeded(json!("second-pass")),
    }
});

task!(RejectWithoutRequeue "t.integration.tasks.reject_without_requeue" [] {} |_, _| {
    Outcome::Rejected { reason: "rejected".to_owned(), requeue: false }
});

task!(RecordReplacedTaskNesting "t.integration.tasks.record_replaced_task_nesting" ["replacements", "nesting="]
{ replacements: u32, nesting: Option<Vec<Value>> } |args, context| {
    let mut nesting = args.nesting.unwrap_or_default();
    nesting.push(context.message.headers.get("replaced_task_nesting").cloned().unwrap_or(json!(0)));
    match args.replacements {
        0 => Outcome::Succeeded(Value::Array(nesting)),
        more => replaced("record_replaced_task_nesting", vec![json!(more - 1), Value::Array(nesting)]),
    }
});

task!(AddReplaced "t.integration.tasks.add_replaced" ["x", "y"] { x: Value, y: Value } |args, _| {
    replaced("add", vec![args.x, args.y])
});

task!(FailReplaced "t.integration.tasks.fail_replaced" ["*args"] { args: Vec<Value> } |args, _| {
    replaced("fail", args.args)
});

fn replaced(task: &str, args: Vec<Value>) -> Outcome {
    Outcome::Replaced(Box::new(Signature::of(&format!("{MODULE}.{task}"), args)))
}

fn once_more(max_retries: Option<u32>, countdown: Option<f64>) -> Outcome {
    let max_retries = Some(max_retries.unwrap_or(1));
    Retry { max_retries, ..Retry::after(seconds(countdown.unwrap_or(0.1))) }.into()
}

/// The form in which Celery reports an exception that Python cannot pickle.
fn unpickleable(argument: &Value) -> Failure {
    let shown = format!("UnpickleableException({})", task_queue::protocol::repr(argument));
    let exc_args = vec![json!(MODULE), json!("UnpickleableException"), json!([argument]), json!(shown)];
    Failure::of("celery.utils.serialization", "UnpickleableExceptionWrapper", exc_args)
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}
