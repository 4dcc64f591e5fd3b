//! Tasks that sleep, print, write to a file, or write to the tests' Redis.

use std::env;
use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};
use task_queue::task::DuplicateTask;
use task_queue::{Failure, Outcome, Tasks};

use super::task::task;

pub(crate) fn register(tasks: Tasks) -> Result<Tasks, DuplicateTask> {
    tasks
        .register(Sleeping)?
        .register(PrintUnicode)?
        .register(WriteToFile)?
        .register(RedisEcho)?
        .register(RedisEchoGroupId)?
        .register(RedisCount)?
        .register(SumAndRecord)?
        .register(ErrbackOldStyle)?
        .register(ErrbackOldStyleWithArgs)?
        .register(ErrbackNewStyle)?
        .register(ErrbackNewStyleWithArgs)
}

task!(Sleeping "t.integration.tasks.sleeping" ["i", "**_"] { i: f64 } |args, _| {
    tokio::time::sleep(Duration::try_from_secs_f64(args.i).unwrap_or_default()).await;
    Outcome::Done
});

task!(PrintUnicode "t.integration.tasks.print_unicode" ["log_message=", "print_message="]
{ log_message: Option<String>, print_message: Option<String> } |args, _| {
    tracing::warn!("{}", args.log_message.as_deref().unwrap_or("håå®ƒ valmuefrø"));
    println!("{}", args.print_message.as_deref().unwrap_or("hiöäüß"));
    Outcome::Done
});

task!(WriteToFile "t.integration.tasks.write_to_file_and_return_int" ["file_name", "i"]
{ file_name: String, i: Value } |args, _| {
    let append = || {
        let mut file = std::fs::File::options().append(true).create(true).open(&args.file_name)?;
        writeln!(file, "{}", args.i)
    };
    match append() {
        Ok(()) => Outcome::Succeeded(args.i),
        Err(error) => Failure::new("OSError", error.to_string()).into(),
    }
});

task!(RedisEcho "t.integration.tasks.redis_echo" ["message", "redis_key="]
{ message: Value, redis_key: Option<String> } |args, _| {
    push(args.redis_key.as_deref().unwrap_or("redis-echo"), &args.message).await.into()
});

task!(RedisEchoGroupId "t.integration.tasks.redis_echo_group_id" ["_", "redis_key="]
{ redis_key: Option<String> } |args, context| {
    push(args.redis_key.as_deref().unwrap_or("redis-group-ids"), &json!(context.request.group)).await.into()
});

task!(RedisCount "t.integration.tasks.redis_count" ["redis_key="] { redis_key: Option<String> } |args, _| {
    count(args.redis_key.as_deref().unwrap_or("redis-count")).await.into()
});

task!(SumAndRecord "t.integration.tasks.sum_and_record" ["values", "redis_key"]
{ values: Vec<i64>, redis_key: String } |args, context| {
    let recorded = push(&args.redis_key, &json!(context.id)).await;
    recorded.map(|_| json!(args.values.iter().sum::<i64>())).into()
});

task!(ErrbackOldStyle "t.integration.tasks.errback_old_style" ["request_id"] { request_id: String } |args, _| {
    count(&args.request_id).await.map(|_| json!(args.request_id)).into()
});

task!(ErrbackOldStyleWithArgs "t.integration.tasks.errback_old_style_with_args" ["request_id", "label"]
{ request_id: String, label: Value } |args, _| {
    push(&args.request_id, &args.label).await.into()
});

/// The part of the request that an errback needs.
#[derive(serde::Deserialize)]
struct Request {
    id: String,
}

task!(ErrbackNewStyle "t.integration.tasks.errback_new_style" ["request", "exc", "tb"] { request: Request }
|args, _| {
    count(&args.request.id).await.map(|_| json!(args.request.id)).into()
});

task!(ErrbackNewStyleWithArgs "t.integration.tasks.errback_new_style_with_args" ["request", "exc", "tb", "label"]
{ request: Request, label: Value } |args, _| {
    push(&args.request.id, &args.label).await.into()
});

async fn push(key: &str, value: &Value) -> Result<Value, Failure> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    in_redis(redis::cmd("RPUSH").arg(key).arg(text)).await
}

async fn count(key: &str) -> Result<Value, Failure> {
    in_redis(redis::cmd("INCR").arg(key)).await
}

/// Runs the command on the Redis server that Celery's tests read.
#[expect(clippy::disallowed_methods, reason = "these are Celery's tests', not settings of the product")]
async fn in_redis(command: &redis::Cmd) -> Result<Value, Failure> {
    let run = async {
        let host = env::var("REDIS_HOST").unwrap_or_else(|_| "localhost".to_owned());
        let port = env::var("REDIS_PORT").unwrap_or_else(|_| "6379".to_owned());
        let client = redis::Client::open(format!("redis://{host}:{port}"))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async::<()>(&mut connection).await
    };
    let failed = |error: redis::RedisError| {
        Failure::of("redis.exceptions", "RedisError", vec![error.to_string().into()])
    };
    run.await.map(|()| Value::Null).map_err(failed)
}
