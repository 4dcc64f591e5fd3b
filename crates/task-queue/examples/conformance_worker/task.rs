//! A macro that declares a task of Celery's tests in one expression.

/// The Python module of the tasks.
pub(crate) const MODULE: &str = "t.integration.tasks";

/// A task: its type, its name, its parameters as Python binds them, the same with their types, and its body. Constants
/// of the task may follow. By Celery's default, a task is acknowledged when it begins, unless it is marked
/// `#[acks_late]`.
macro_rules! task {
    (@acks_late) => { false };
    (@acks_late acks_late) => { true };
    ($(#[$acks_late:ident])? $task:ident $name:literal [$($parameter:literal),*] { $($field:ident: $type:ty),* $(,)? }
     |$args:pat_param, $context:pat_param| $body:expr $(; const $constant:ident: $kind:ty = $value:expr)*) => {
        struct $task;

        const _: () = {
            #[derive(serde::Deserialize)]
            pub(super) struct Args {
                $($field: $type,)*
            }

            #[async_trait::async_trait]
            impl task_queue::Task for $task {
                const NAME: &'static str = $name;
                const PARAMETERS: &'static [&'static str] = &[$($parameter),*];
                const ACKS_LATE: bool = crate::conformance_worker::task::task!(@acks_late $($acks_late)?);
                $(const $constant: $kind = $value;)*
                type Args = Args;

                async fn run(&self, $args: Args, $context: task_queue::TaskContext) -> task_queue::Outcome {
                    $body
                }
            }
        };
    };
}

pub(crate) use task;
