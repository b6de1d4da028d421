-- One statement for the caller, so that the chain's head is locked for no longer than it takes. Each query of the function sees what
-- had committed when it began: the head that is read is the one after which the lock was given.
create function append_audit(
  _user_id text, _via text, _action text, _object text, _project_id text, _facts jsonb, _canonical text[]
) returns void language plpgsql as $$
declare
  _seq bigint;
  _previous text;
  _at text;
begin
  perform pg_advisory_xact_lock(1635083369);
  select seq, hash into _seq, _previous from audit_row order by seq desc limit 1;
  _seq := coalesce(_seq, 0) + 1;
  _previous := coalesce(_previous, repeat('0', 64));
  _at := to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
  insert into audit_row (seq, at, user_id, via, action, object, project_id, facts, previous_hash, hash)
  values (
    _seq, _at::timestamptz, _user_id, _via, _action, _object, _project_id, _facts, _previous,
    encode(sha256(convert_to(
      _canonical[1] || _at || _canonical[2] || _previous || _canonical[3] || _seq || _canonical[4], 'UTF8'
    )), 'hex')
  );
end $$;
