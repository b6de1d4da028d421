create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name;
end $$;
--> statement-breakpoint
create trigger audit_row_append_only before update or delete on audit_row for each row execute function refuse_change();
--> statement-breakpoint
create trigger room_log_append_only before update on room_log for each row execute function refuse_change();
--> statement-breakpoint
create trigger ranking_append_only before update on ranking for each row execute function refuse_change();
--> statement-breakpoint
create trigger dataset_append_only before update on dataset for each row execute function refuse_change();
--> statement-breakpoint
create trigger dataset_row_append_only before update on dataset_row for each row execute function refuse_change();
