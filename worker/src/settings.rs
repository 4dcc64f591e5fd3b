//! The rows of the settings table for the worker. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    CALLBACK_TIMEOUT_SEC = "5", "seconds, more than 0, at most 300",
        "The time limit of one callback attempt: name look-up, connection, TLS, response and its body together";
    CALLBACK_WINDOW_SEC = "60", "seconds, more than 0, at most 86400",
        "Time from the decision to the end of callback attempts";
    CALLBACK_MAX_ATTEMPTS = "8", "attempts, 1 to 100",
        "The maximum number of callback attempts";
    WORKER_CONCURRENCY = "200", "tasks, 1 to 10000",
        "The maximum number of tasks in flight in one worker; also its prefetch";
    WORKER_AUTOSCALE = "", "MAX,MIN tasks, each 1 to 10000, or nothing for WORKER_CONCURRENCY",
        "Adjusts the number of tasks in flight to the load, between these bounds";
    WORKER_HOSTNAME = "", "NAME@HOST, with %h for this machine; no two workers of one broker may share it",
        "The worker's name for Celery's tools and other workers; by default celery@%h";
    WORKER_TASK_EVENTS = "false", "true or false",
        "Whether task events are sent from the start; Celery's tools switch them on and off";
    WORKER_STATE_FILE = "", "a path, or nothing for memory only",
        "The file in which the worker keeps the revoked tasks across a restart";
    WORKER_HEALTH_PORT = "", "a port, or nothing for no listener",
        "The port on which the worker serves /healthz and /readyz";
    PLATFORM_CONCURRENCY = "4", "tasks, 1 to 1000",
        "The maximum number of the platform's tasks in flight in one worker, if it has a database";
    SCHEDULER_TICK_SEC = "1", "seconds, more than 0, at most 60",
        "How often the scheduler looks for periodic tasks that are due";
    SMTP_URL = "", "smtp://[user:password@]host[:port] with ?tls=required or ?tls=off, or smtps://…; or nothing for no mail server",
        "The mail server. smtp:// uses STARTTLS where the server offers it (port 587), smtps:// begins with TLS (port 465)", url;
    MAIL_FROM = "Voltgate <no-reply@localhost>", "an address, alone or in angle brackets after a name",
        "The sender of mails";
    MAIL_FOLDER = "", "a folder, which is created",
        "Where mails are written as .eml files if there is no SMTP_URL; by default the folder mail of an embedded database's directory";
    MAIL_TEMPLATES = "", "a folder with files such as en/verify_email.txt, or nothing for the built-in texts",
        "Templates of mails that replace the built-in ones";
}
