CREATE TABLE "queue_place" (
	"project_id" text NOT NULL,
	"user_id" text NOT NULL,
	"number" integer NOT NULL,
	CONSTRAINT "queue_place_project_id_user_id_pk" PRIMARY KEY("project_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "task_tally" (
	"project_id" text NOT NULL,
	"specialty" text DEFAULT '' NOT NULL,
	"assigned" boolean DEFAULT false NOT NULL,
	"total" integer DEFAULT 0 NOT NULL,
	"revealed" integer DEFAULT 0 NOT NULL,
	"wanted" integer DEFAULT 0 NOT NULL,
	"ranked" integer DEFAULT 0 NOT NULL,
	"judgements" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "task_tally_project_id_specialty_assigned_pk" PRIMARY KEY("project_id","specialty","assigned")
);
--> statement-breakpoint
ALTER TABLE "lease" ADD COLUMN "project_id" text;--> statement-breakpoint
ALTER TABLE "lease" ADD COLUMN "number" integer;--> statement-breakpoint
ALTER TABLE "lease" ADD COLUMN "assigned" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "lease" ADD COLUMN "open" boolean DEFAULT true NOT NULL;--> statement-breakpoint
ALTER TABLE "member" ADD COLUMN "specialties" text[] DEFAULT '{}' NOT NULL;--> statement-breakpoint
ALTER TABLE "task" ADD COLUMN "overlap" integer;--> statement-breakpoint
ALTER TABLE "task" ADD COLUMN "specialty" text;--> statement-breakpoint
ALTER TABLE "task" ADD COLUMN "assigned" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "task" ADD COLUMN "judged" boolean DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE "queue_place" ADD CONSTRAINT "queue_place_project_id_project_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."project"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "queue_place" ADD CONSTRAINT "queue_place_user_id_user_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."user"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "task_tally" ADD CONSTRAINT "task_tally_project_id_project_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."project"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
update lease set project_id = t.project_id, number = t.number, open = t.status = 'open' from task t where t.id = lease.task_id;--> statement-breakpoint
ALTER TABLE "lease" ALTER COLUMN "project_id" SET NOT NULL;--> statement-breakpoint
ALTER TABLE "lease" ALTER COLUMN "number" SET NOT NULL;--> statement-breakpoint
update task set judged = true where exists (select 1 from ranking r where r.task_id = task.id);--> statement-breakpoint
insert into task_tally (project_id, total, revealed, wanted, ranked, judgements)
  select p.id, count(*), count(*) filter (where t.status = 'revealed'), count(*) * p.overlap, sum(t.raters),
    (select count(*) from (select distinct on (r.task_id, r.kind, r.rater) r.verdict
      from ranking r join task on task.id = r.task_id where task.project_id = p.id
      order by r.task_id, r.kind, r.rater, r.version desc) last where verdict <> 'withdrawn')
  from project p join task t on t.project_id = p.id group by p.id;--> statement-breakpoint
CREATE INDEX "lease_judged" ON "lease" USING btree ("project_id","user_id","number","open") WHERE "lease"."version" > 0;--> statement-breakpoint
CREATE INDEX "lease_mine" ON "lease" USING btree ("project_id","user_id","number") WHERE "lease"."version" = 0 and "lease"."open";--> statement-breakpoint
CREATE INDEX "lease_waiting" ON "lease" USING btree ("project_id","number") WHERE "lease"."version" = 0 and "lease"."open" and not "lease"."assigned";--> statement-breakpoint
CREATE INDEX "task_judged" ON "task" USING btree ("project_id","number") WHERE "task"."judged";--> statement-breakpoint
create function prompt_text(prompt jsonb) returns text language sql immutable strict parallel safe as $$
  select string_agg(m->>'content', E'\n' order by n) from jsonb_array_elements(prompt) with ordinality as each(m, n)
$$;
--> statement-breakpoint
do $$
begin
  create extension if not exists pg_trgm;
  create index task_words on task using gin (prompt_text(prompt) gin_trgm_ops);
  create index output_words on output using gin (text gin_trgm_ops);
exception when others then
  raise notice 'Searching for rare words reads every task, since pg_trgm cannot be had here: %', sqlerrm;
end $$;
