//! Tasks that return parts of their own request.

use serde_json::{Map, Value, json};
use task_queue::task::DuplicateTask;
use task_queue::{Outcome, TaskContext, Tasks};

use super::task::task;

pub(crate) fn register(tasks: Tasks) -> Result<Tasks, DuplicateTask> {
    tasks
        .register(Ids)?
        .register(CollectIds)?
        .register(ReturnException)?
        .register(ReturnPriority)?
        .register(ReturnProperties)?
        .register(ReturnRequestEta)?
        .register(ReturnRequestTimeLimits)?
        .register(TaskWithDeclaredTimeLimits)?
        .register(SoftTimeLimit)?
        .register(ReplacedWithMe)
}

task!(Ids "t.integration.tasks.ids" ["i"] { i: Value } |args, context| {
    Outcome::Succeeded(json!([context.request.root_id, context.request.parent_id, args.i]))
});

task!(CollectIds "t.integration.tasks.collect_ids" ["res", "i"] { res: Value, i: Value } |args, context| {
    let own = json!([context.request.root_id, context.request.parent_id, args.i]);
    Outcome::Succeeded(json!([args.res, own]))
});

task!(ReturnException "t.integration.tasks.return_exception" ["e"] { e: Value } |args, _| {
    Outcome::Succeeded(json!([args.e, true]))
});

task!(ReturnPriority "t.integration.tasks.return_priority" ["*_args"] {} |_, context| {
    let priority = context.request.priority.map_or("None".to_owned(), |priority| priority.to_string());
    Outcome::Succeeded(json!(format!("Priority: {priority}")))
});

task!(ReturnProperties "t.integration.tasks.return_properties" [] {} |_, context| {
    Outcome::Succeeded(json!(context.message.properties))
});

task!(ReturnRequestEta "t.integration.tasks.return_request_eta" [] {} |_, context| {
    Outcome::Succeeded(json!(context.request.eta.map(|eta| eta.to_string())))
});

task!(ReturnRequestTimeLimits "t.integration.tasks.return_request_time_limits" [] {} |_, context| {
    Outcome::Succeeded(time_limits(&context, None))
});

task!(TaskWithDeclaredTimeLimits "t.integration.tasks.task_with_declared_time_limits" [] {} |_, context| {
    Outcome::Succeeded(time_limits(&context, Some((60.0, 45.0))))
});

task!(SoftTimeLimit "t.integration.tasks.soft_time_limit_must_exceed_time_limit" [] {} |_, _| Outcome::Done);

task!(ReplacedWithMe "t.integration.tasks.replaced_with_me" [] {} |_, _| Outcome::Succeeded(json!(true)));

fn time_limits(context: &TaskContext, declared: Option<(f64, f64)>) -> Value {
    let limit = context.request.time_limit;
    let hard = limit.hard.map(|limit| limit.as_secs_f64()).or(declared.map(|(hard, _)| hard));
    let soft = limit.soft.map(|limit| limit.as_secs_f64()).or(declared.map(|(_, soft)| soft));
    json!({"time_limit": hard, "soft_time_limit": soft})
}

/// The headers that Celery does not set.
pub(crate) fn custom_headers(context: &TaskContext) -> Map<String, Value> {
    const CELERY: [&str; 19] = [
        "lang",
        "task",
        "id",
        "shadow",
        "eta",
        "expires",
        "group",
        "group_index",
        "retries",
        "timelimit",
        "root_id",
        "parent_id",
        "argsrepr",
        "kwargsrepr",
        "origin",
        "ignore_result",
        "replaced_task_nesting",
        "stamped_headers",
        "stamps",
    ];
    let mut headers = context.message.without_delivery_headers().headers;
    headers.retain(|name, _| !CELERY.contains(&name.as_str()));
    headers
}
