/** Every limit of the server in one place, by room; each has a test that crosses it. */
export const limits = {
  net: {
    json_body_bytes_max: 1_048_576,
    page_items_max: 200
  },
  auth: {
    password_length_min: 10,
    bootstrap_token_length_min: 32,
    invitation_hours: 14 * 24
  },
  db: {
    /** Left free by imports: room for what people do meanwhile, and for PostgreSQL's own log. */
    disk_reserve_bytes: 128 * 1_048_576
  },
  intake: {
    line_bytes_max: 4 * 1_048_576,
    file_bytes_max: 4 * 1024 * 1_048_576,
    errors_kept_max: 1_000,
    batch_rows: 500,
    /** JSON text is seldom packed tighter than 1 : 50; gzip's own limit is 1 : 1032. */
    gzip_ratio_max: 200,
    /** The ratio is looked at from here on. */
    gzip_ratio_from_bytes: 16 * 1_048_576,
    preview_bytes_max: 262_144,
    /** Of a body that was refused in the middle. */
    drained_bytes_max: 256 * 1_048_576,
    stale_seconds: 30
  },
  rankings: {
    /** How long a submission can be taken back; a reveal ends it before. */
    undo_minutes: 10
  },
  tasks: {
    /** Orders in which a task's outputs are shown; more than members who would judge one task. */
    seats_max: 999,
    outputs_max: 26,
    lease_minutes: 30
  },
  rooms: {
    frame_bytes_max: 256 * 1024,
    frames_per_second: 60,
    bytes_per_second: 1024 * 1024,
    awareness_bytes_max: 2 * 1024,
    buffered_bytes_max: 4 * 1_048_576,
    sockets_per_room_max: 50,
    sockets_per_user_and_room_max: 8,
    sockets_max: 2_000,
    /** Frames that refer to edits still on their way, kept per socket until those are here. */
    held_bytes_max: 512 * 1024,
    /** One update may span so many clocks: typed and deleted characters count too. */
    update_clocks_max: 262_144,
    note_length_max: 20_000,
    idle_seconds: 30,
    recheck_seconds: 1
  },
  panels: {
    remarks_per_task_max: 1_000
  },
  overview: {
    pairs_counted_max: 5_000
  },
  preview: {
    /** WebAssembly holds 4 GiB, and weights in float32 share it with the cache and with what is being loaded. */
    parameters_max: 700_000_000,
    part_bytes_max: 64 * 1_048_576
  },
  runs: {
    heartbeat_seconds: 5,
    /** Times that a trainer which ended without a word is started again at its last checkpoint. */
    resume_attempts_max: 2,
    inspect_seconds_max: 60,
    /** After that a trainer that was asked to stop is killed. */
    cancel_seconds_max: 60,
    /** Of the trainer's log, as much as is shown. */
    log_bytes_max: 65_536
  },
  artifacts: {
    /** What a ZIP archive can say without its 64-bit extension. */
    zip_bytes_max: 2 ** 32 - 1
  }
} as const;
