//! The metrics of every process. Those that begin with `process_` are read from the operating system at each scrape, and
//! have the names that every Prometheus client uses.

crate::metrics! {
    BUILD_INFO = "voltgate_build_info", Gauge, ["version", "commit"], [],
        "Always 1; the labels name the running version and the commit that it was built from";
    CPU_SECONDS = "process_cpu_seconds_total", Counter, [], [],
        "CPU time of this process, in user and kernel mode";
    RESIDENT_MEMORY = "process_resident_memory_bytes", Gauge, [], [],
        "Memory of this process in RAM";
    VIRTUAL_MEMORY = "process_virtual_memory_bytes", Gauge, [], [],
        "Virtual memory of this process";
    VIRTUAL_MEMORY_MAX = "process_virtual_memory_max_bytes", Gauge, [], [],
        "The limit of its virtual memory; 0 for none";
    OPEN_FILES = "process_open_fds", Gauge, [], [],
        "Open files of this process, connections included";
    OPEN_FILES_MAX = "process_max_fds", Gauge, [], [],
        "The limit of its open files";
    START_TIME = "process_start_time_seconds", Gauge, [], [],
        "When this process started, in seconds since 1970";
    THREADS = "process_threads", Gauge, [], [],
        "Threads of this process";
}
