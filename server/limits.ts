import { PEOPLE_GIVEN_MAX, TASKS_GIVEN_MAX } from '#wire/assigning.ts';
import { OVERLAP_MAX } from '#wire/review.ts';
import { SPECIALTIES_MAX, SPECIALTY_LENGTH_MAX } from '#wire/specialty.ts';

/** Every limit of the server in one place, by room; each has a test that crosses it. */
export const limits = {
  net: {
    json_body_bytes_max: 1_048_576,
    page_items_max: 200
  },
  auth: {
    password_length_min: 10,
    bootstrap_token_length_min: 32,
    invitation_hours: 14 * 24,
    /** Of a member, and the characters of each. */
    specialties_max: SPECIALTIES_MAX,
    specialty_length_max: SPECIALTY_LENGTH_MAX
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
    undo_minutes: 10,
    /** A project's pages are told at most so often how far its tasks are. */
    progress_ms: 1_000
  },
  tasks: {
    /** Orders in which a task's outputs are shown; more than members who would judge one task. */
    seats_max: 999,
    outputs_max: 26,
    overlap_max: OVERLAP_MAX,
    given_at_once_max: TASKS_GIVEN_MAX,
    people_given_max: PEOPLE_GIVEN_MAX,
    lease_minutes: 30,
    /** Where the most uncertain come first: tasks that are looked at for the first that fits, before it goes on by number. */
    uncertain_looked_at_max: 2_000,
    /** Numbers drawn for one random task, of which the first that fits is taken. */
    numbers_drawn: 64,
    /** How long tasks that are kept on a device, for work without a connection, stay their person's. */
    along_hours: 12
  },
  rooms: {
    frame_bytes_max: 256 * 1024,
    /** From a socket that was not let in: it has nothing to say, and is gone after that many seconds at most. */
    stranger_frame_bytes_max: 4 * 1024,
    stranger_seconds_max: 2,
    /** On average; three seconds' worth may come at once. Presence is counted by itself: pages repeat what they hear. */
    frames_per_second: 60,
    presence_frames_per_second: 120,
    bytes_per_second: 512 * 1024,
    /** A page asks for the whole document once, when it connects. */
    syncs_per_second: 2,
    /** Time of the server's one thread that a person's frames may take, all their sockets together. */
    work_ms_per_second: 100,
    work_ms_burst: 1_000,
    buffered_bytes_max: 4 * 1_048_576,
    sockets_per_room_max: 50,
    /** A person's pages with one document open. */
    sockets_per_user_and_room_max: 3,
    /** A lobby has a socket from every page of a project. */
    sockets_per_lobby_max: 1_000,
    sockets_per_user_and_lobby_max: 12,
    sockets_per_user_max: 100,
    /** A thousand reviewers with ballot, table and lobby each, and some who come back before their old socket is gone. */
    sockets_max: 4_000,
    /** Where it is full, sockets that do not answer for so long make room: their line was cut. */
    probe_ms: 1_000,
    beat_seconds: 15,
    presence_bytes_max: 2 * 1024,
    /** What is said of presence goes out at most ten times a second, and less often to a crowd. */
    presence_interval_ms: 100,
    presence_interval_ms_per_socket: 1,
    /** A busy server gathers what it writes to the log for so long; where all rooms write, each for twice that. */
    commit_interval_ms_max: 14,
    /** To all pages of a room together: what commits in between is told to them at once. */
    broadcasts_per_second: 4_000,
    /** Updates that refer to edits still on their way, kept per socket until those are here. */
    held_bytes_max: 512 * 1024,
    held_updates_max: 256,
    /** One update may span so many clocks: typed and deleted characters count too. */
    update_clocks_max: 262_144,
    /**
     * Applying an update takes at most so many steps of a scan, (structs + deletions) x (structs of the document), or it
     * is tried in a thread of its own first: it may take so long on the processor, and is waited for so long.
     */
    steps_untried_max: 250_000,
    trial_ms_max: 200,
    trial_wait_ms_max: 2_000,
    trial_memory_mb_max: 256,
    /** Of a document and its log; beyond any use by people, and small enough to be loaded and copied at once. */
    structs_max: 100_000,
    log_bytes_max: 16 * 1_048_576,
    /** Rows of a log that are applied in one go while it is loaded; others are served in between. */
    rows_loaded_at_once: 500,
    note_length_max: 20_000,
    /** An edited output; longer ones cannot be edited on the page. */
    edited_length_max: 50_000,
    /** A remark on a stretch of an output, as JSON. */
    span_length_max: 4_000,
    /** Keys of a document's map that were ever written, removed ones too. */
    keys_max: 1_000,
    value_length_max: 64,
    idle_seconds: 30,
    /** How often it is asked whether those who are here may still be: twice within the second that is promised. */
    recheck_ms: 500
  },
  priority: {
    /** How often it is asked which projects have more judgements or tasks than their uncertainties know of. */
    check_seconds: 5,
    /** Sources are fitted anew, and all open tasks valued, after so many new judgements: at least, and as a share of those before. */
    new_judgements_min: 20,
    new_judgements_share: 0.2,
    /** The judged tasks of the highest numbers, and the sources that are compared most. */
    tasks_fitted_max: 20_000,
    sources_max: 32,
    tasks_at_once: 500
  },
  scoring: {
    /** How often it is asked whether tasks have no margin of the current adapter yet, while no run wants the machine. */
    check_seconds: 2,
    /** Of a project, that have a margin at one time: as many as are looked at for the next one. Others follow as these are revealed. */
    tasks_scored_max: 2_000,
    tasks_at_once: 32,
    /** Of a task, its prompt and all outputs together: they go through the model at once. */
    task_tokens_max: 32_768,
    /** Of the memory that is free, for the weights: people rank on the same machine. */
    memory_share_max: 0.5,
    /** For the tasks that are scored at once; then they are given up. */
    seconds_max: 3_600,
    /** Before an adapter that failed to score is tried again. */
    retry_minutes: 30
  },
  panels: {
    remarks_per_task_max: 1_000
  },
  norming: {
    members_min: 2,
    members_max: 20,
    tasks_max: 50
  },
  overview: {
    pairs_counted_max: 5_000,
    tasks_read_max: 2_500
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
