CREATE TABLE "norming_member" (
	"session_id" text NOT NULL,
	"user_id" text NOT NULL,
	CONSTRAINT "norming_member_session_id_user_id_pk" PRIMARY KEY("session_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "norming_session" (
	"id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"name" text NOT NULL,
	"status" text NOT NULL,
	"created_by" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"first" jsonb,
	"second" jsonb,
	"closed_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "norming_task" (
	"session_id" text NOT NULL,
	"task_id" text NOT NULL,
	CONSTRAINT "norming_task_session_id_task_id_pk" PRIMARY KEY("session_id","task_id")
);
--> statement-breakpoint
ALTER TABLE "norming_member" ADD CONSTRAINT "norming_member_session_id_norming_session_id_fk" FOREIGN KEY ("session_id") REFERENCES "public"."norming_session"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "norming_member" ADD CONSTRAINT "norming_member_user_id_user_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."user"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "norming_session" ADD CONSTRAINT "norming_session_project_id_project_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."project"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "norming_session" ADD CONSTRAINT "norming_session_created_by_user_id_fk" FOREIGN KEY ("created_by") REFERENCES "public"."user"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "norming_task" ADD CONSTRAINT "norming_task_session_id_norming_session_id_fk" FOREIGN KEY ("session_id") REFERENCES "public"."norming_session"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "norming_task" ADD CONSTRAINT "norming_task_task_id_task_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."task"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "norming_member_user" ON "norming_member" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "norming_project" ON "norming_session" USING btree ("project_id","created_at");--> statement-breakpoint
CREATE INDEX "norming_task_task" ON "norming_task" USING btree ("task_id");