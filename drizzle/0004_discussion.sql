CREATE TABLE "remark" (
	"task_id" text NOT NULL,
	"number" integer NOT NULL,
	"user_id" text NOT NULL,
	"text" text NOT NULL,
	"sent_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "remark_task_id_number_pk" PRIMARY KEY("task_id","number")
);
--> statement-breakpoint
CREATE TABLE "remark_mention" (
	"task_id" text NOT NULL,
	"number" integer NOT NULL,
	"user_id" text NOT NULL,
	CONSTRAINT "remark_mention_task_id_number_user_id_pk" PRIMARY KEY("task_id","number","user_id")
);
--> statement-breakpoint
CREATE TABLE "remark_read" (
	"task_id" text NOT NULL,
	"user_id" text NOT NULL,
	"number" integer NOT NULL,
	CONSTRAINT "remark_read_task_id_user_id_pk" PRIMARY KEY("task_id","user_id")
);
--> statement-breakpoint
ALTER TABLE "remark" ADD CONSTRAINT "remark_task_id_task_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."task"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "remark" ADD CONSTRAINT "remark_user_id_user_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."user"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "remark_mention" ADD CONSTRAINT "remark_mention_user_id_user_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."user"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "remark_mention" ADD CONSTRAINT "remark_mention_task_id_number_remark_task_id_number_fk" FOREIGN KEY ("task_id","number") REFERENCES "public"."remark"("task_id","number") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "remark_read" ADD CONSTRAINT "remark_read_task_id_task_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."task"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "remark_read" ADD CONSTRAINT "remark_read_user_id_user_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."user"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "remark_mention_user" ON "remark_mention" USING btree ("user_id");--> statement-breakpoint
create trigger remark_append_only before update on remark for each row execute function refuse_change();
