//! The rows of the settings table for the broker, the queue, and the callbacks. To add a setting, add a row here and its name to
//! `service_runtime::settings::NAMES`, and read it in `config.rs`.

service_runtime::settings! {
    BROKER_URL = "amqp://guest:guest@127.0.0.1:5672/%2f", "amqp://…, amqps://… or embedded:DIR",
        "The broker that holds the tasks", url;
    BROKER_MANAGEMENT_URL = "", "http://USER:PASSWORD@HOST:PORT or https://… of RabbitMQ's management API, or nothing",
        "Lets `voltgate doctor` see the policies and bindings of the delay queues, which AMQP does not show", url;
    TASK_QUEUE = "celery", "a queue name of 1 to 150 characters of A-Z a-z 0-9 - . _",
        "The queue that tasks are published to and taken from";
    TASK_QUEUE_TYPE = "quorum", "quorum or classic",
        "The type of queue to create; an existing queue is used as it is";
    PUBLISH_TIMEOUT_SEC = "1.5", "seconds, more than 0, at most 60",
        "How long a publish may wait for the broker's confirm";
    RECOVERY_TIMEOUT_SEC = "120", "seconds, more than 0, at most 86400",
        "How long a service tries to reconnect to the broker before it exits with code 69";
    CALLBACK_ALLOWED_NETWORKS = "", "networks such as 10.0.0.0/8,fd00::/8, or localhost, separated by commas",
        "Private networks that may be called back nevertheless, including host names that cannot be public; localhost admits this machine and no other name";
    CALLBACK_DENIED_NETWORKS = "", "networks such as 198.18.0.0/15, separated by commas",
        "Public networks that may not be called back; CALLBACK_ALLOWED_NETWORKS takes precedence";
    CALLBACK_ALLOWED_PORTS = "80,443,1024-65535", "ports and ranges such as 443,8000-8999, separated by commas",
        "Ports that may be called back; by default also every port in CALLBACK_ALLOWED_NETWORKS";
    WEBHOOK_SECRET = "", "whsec_ and the base64 of 24 to 64 bytes; several separated by commas",
        "Signs callbacks with HMAC-SHA256 (Standard Webhooks `v1`), once with each secret", secret;
    WEBHOOK_PRIVATE_KEY = "", "whsk_ and the base64 of an ed25519 seed, with or without its public key; several separated by commas",
        "Signs callbacks with ed25519 (`v1a`); public-api serves the public keys", secret;
}
