CREATE TABLE "task_margin" (
	"task_id" text PRIMARY KEY NOT NULL,
	"project_id" text NOT NULL,
	"adapter_id" text NOT NULL,
	"margin" double precision
);
--> statement-breakpoint
ALTER TABLE "task_margin" ADD CONSTRAINT "task_margin_project_id_project_id_fk" FOREIGN KEY ("project_id") REFERENCES "public"."project"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "task_margin_project" ON "task_margin" USING btree ("project_id");