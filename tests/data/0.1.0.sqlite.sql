BEGIN;
CREATE TABLE "django_migrations" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app" varchar(255) NOT NULL, "name" varchar(255) NOT NULL, "applied" datetime NOT NULL);
INSERT INTO "django_migrations" ("id", "app", "name", "applied") VALUES
(1, 'contenttypes', '0001_initial', '2026-11-29 06:34:27.561362'),
(2, 'contenttypes', '0002_remove_content_type_name', '2026-11-29 06:34:27.584853'),
(3, 'auth', '0001_initial', '2026-11-29 06:34:27.617135'),
(4, 'auth', '0002_alter_permission_name_max_length', '2026-11-29 06:34:27.640216'),
(5, 'auth', '0003_alter_user_email_max_length', '2026-11-29 06:34:27.653834'),
(6, 'auth', '0004_alter_user_username_opts', '2026-11-29 06:34:27.667345'),
(7, 'auth', '0005_alter_user_last_login_null', '2026-11-29 06:34:27.684118'),
(8, 'auth', '0006_require_contenttypes_0002', '2026-11-29 06:34:27.684964'),
(9, 'auth', '0007_alter_validators_add_error_messages', '2026-11-29 06:34:27.692365'),
(10, 'auth', '0008_alter_user_username_max_length', '2026-11-29 06:34:27.708939'),
(11, 'auth', '0009_alter_user_last_name_max_length', '2026-11-29 06:34:27.726206'),
(12, 'auth', '0010_alter_group_name_max_length', '2026-11-29 06:34:27.746432'),
(13, 'auth', '0011_update_proxy_permissions', '2026-11-29 06:34:27.759236'),
(14, 'auth', '0012_alter_user_first_name_max_length', '2026-11-29 06:34:27.772816'),
(15, 'chat', '0001_initial', '2026-11-29 06:34:28.803215'),
(16, 'admin', '0001_initial', '2026-11-29 06:34:28.888238'),
(17, 'admin', '0002_logentry_remove_auto_add', '2026-11-29 06:34:28.935872'),
(18, 'admin', '0003_logentry_add_action_flag_choices', '2026-11-29 06:34:28.979169'),
(19, 'chat', '0002_seed', '2026-11-29 06:34:29.087844'),
(20, 'chat', '0003_first_token_columns', '2026-11-29 06:34:30.188050'),
(21, 'chat', '0004_readings', '2026-11-29 06:34:30.249163'),
(22, 'chat', '0005_search_entry', '2026-11-29 06:34:30.308783'),
(23, 'chat', '0006_prefix_length', '2026-11-29 06:34:30.332106'),
(24, 'sessions', '0001_initial', '2026-11-29 06:34:30.338604');
CREATE TABLE "django_content_type" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "app_label" varchar(100) NOT NULL, "model" varchar(100) NOT NULL);
INSERT INTO "django_content_type" ("id", "app_label", "model") VALUES
(1, 'chat', 'serverprocess'),
(2, 'chat', 'user'),
(3, 'chat', 'apikey'),
(4, 'chat', 'chatmodel'),
(5, 'chat', 'conversation'),
(6, 'chat', 'dailyusage'),
(7, 'chat', 'limitoverride'),
(8, 'chat', 'message'),
(9, 'chat', 'modelprice'),
(10, 'chat', 'plan'),
(11, 'chat', 'usagerecord'),
(12, 'chat', 'conversationreading'),
(13, 'chat', 'searchentry'),
(14, 'admin', 'logentry'),
(15, 'auth', 'permission'),
(16, 'auth', 'group'),
(17, 'contenttypes', 'contenttype'),
(18, 'sessions', 'session');
CREATE TABLE "auth_group_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "auth_permission" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "content_type_id" integer NOT NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "codename" varchar(100) NOT NULL, "name" varchar(255) NOT NULL);
INSERT INTO "auth_permission" ("id", "content_type_id", "codename", "name") VALUES
(1, 1, 'add_serverprocess', 'Can add server process'),
(2, 1, 'change_serverprocess', 'Can change server process'),
(3, 1, 'delete_serverprocess', 'Can delete server process'),
(4, 1, 'view_serverprocess', 'Can view server process'),
(5, 2, 'add_user', 'Can add user'),
(6, 2, 'change_user', 'Can change user'),
(7, 2, 'delete_user', 'Can delete user'),
(8, 2, 'view_user', 'Can view user'),
(9, 3, 'add_apikey', 'Can add API key'),
(10, 3, 'change_apikey', 'Can change API key'),
(11, 3, 'delete_apikey', 'Can delete API key'),
(12, 3, 'view_apikey', 'Can view API key'),
(13, 4, 'add_chatmodel', 'Can add model'),
(14, 4, 'change_chatmodel', 'Can change model'),
(15, 4, 'delete_chatmodel', 'Can delete model'),
(16, 4, 'view_chatmodel', 'Can view model'),
(17, 5, 'add_conversation', 'Can add conversation'),
(18, 5, 'change_conversation', 'Can change conversation'),
(19, 5, 'delete_conversation', 'Can delete conversation'),
(20, 5, 'view_conversation', 'Can view conversation'),
(21, 5, 'read_conversations', 'Can read other people''s conversations, with a reason'),
(22, 5, 'stop_answers', 'Can stop other people''s answers'),
(23, 6, 'add_dailyusage', 'Can add daily usage'),
(24, 6, 'change_dailyusage', 'Can change daily usage'),
(25, 6, 'delete_dailyusage', 'Can delete daily usage'),
(26, 6, 'view_dailyusage', 'Can view daily usage'),
(27, 7, 'add_limitoverride', 'Can add limit override'),
(28, 7, 'change_limitoverride', 'Can change limit override'),
(29, 7, 'delete_limitoverride', 'Can delete limit override'),
(30, 7, 'view_limitoverride', 'Can view limit override'),
(31, 8, 'add_message', 'Can add message'),
(32, 8, 'change_message', 'Can change message'),
(33, 8, 'delete_message', 'Can delete message'),
(34, 8, 'view_message', 'Can view message'),
(35, 9, 'add_modelprice', 'Can add price'),
(36, 9, 'change_modelprice', 'Can change price'),
(37, 9, 'delete_modelprice', 'Can delete price'),
(38, 9, 'view_modelprice', 'Can view price'),
(39, 10, 'add_plan', 'Can add plan'),
(40, 10, 'change_plan', 'Can change plan'),
(41, 10, 'delete_plan', 'Can delete plan'),
(42, 10, 'view_plan', 'Can view plan'),
(43, 11, 'add_usagerecord', 'Can add usage record'),
(44, 11, 'change_usagerecord', 'Can change usage record'),
(45, 11, 'delete_usagerecord', 'Can delete usage record'),
(46, 11, 'view_usagerecord', 'Can view usage record'),
(47, 12, 'add_conversationreading', 'Can add reading of a conversation'),
(48, 12, 'change_conversationreading', 'Can change reading of a conversation'),
(49, 12, 'delete_conversationreading', 'Can delete reading of a conversation'),
(50, 12, 'view_conversationreading', 'Can view reading of a conversation'),
(51, 13, 'add_searchentry', 'Can add search entry'),
(52, 13, 'change_searchentry', 'Can change search entry'),
(53, 13, 'delete_searchentry', 'Can delete search entry'),
(54, 13, 'view_searchentry', 'Can view search entry'),
(55, 14, 'add_logentry', 'Can add log entry'),
(56, 14, 'change_logentry', 'Can change log entry'),
(57, 14, 'delete_logentry', 'Can delete log entry'),
(58, 14, 'view_logentry', 'Can view log entry'),
(59, 15, 'add_permission', 'Can add permission'),
(60, 15, 'change_permission', 'Can change permission'),
(61, 15, 'delete_permission', 'Can delete permission'),
(62, 15, 'view_permission', 'Can view permission'),
(63, 16, 'add_group', 'Can add group'),
(64, 16, 'change_group', 'Can change group'),
(65, 16, 'delete_group', 'Can delete group'),
(66, 16, 'view_group', 'Can view group'),
(67, 17, 'add_contenttype', 'Can add content type'),
(68, 17, 'change_contenttype', 'Can change content type'),
(69, 17, 'delete_contenttype', 'Can delete content type'),
(70, 17, 'view_contenttype', 'Can view content type'),
(71, 18, 'add_session', 'Can add session'),
(72, 18, 'change_session', 'Can change session'),
(73, 18, 'delete_session', 'Can delete session'),
(74, 18, 'view_session', 'Can view session');
CREATE TABLE "auth_group" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(150) NOT NULL UNIQUE);
INSERT INTO "auth_group" ("id", "name") VALUES
(1, 'Team');
CREATE TABLE "chat_serverprocess" ("id" char(32) NOT NULL PRIMARY KEY, "host" varchar(255) NOT NULL, "pid" integer unsigned NOT NULL CHECK ("pid" >= 0), "started_at" datetime NOT NULL, "heartbeat_at" datetime NOT NULL);
INSERT INTO "chat_serverprocess" ("id", "host", "pid", "started_at", "heartbeat_at") VALUES
('2486268a34244965970dcb305e201539', 'old-server', 1, '2026-11-29 06:36:34.508774', '2026-11-29 06:37:51.144054');
CREATE TABLE "chat_user" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "password" varchar(128) NOT NULL, "last_login" datetime NULL, "is_superuser" bool NOT NULL, "username" varchar(150) NOT NULL UNIQUE, "first_name" varchar(150) NOT NULL, "last_name" varchar(150) NOT NULL, "email" varchar(254) NOT NULL, "is_staff" bool NOT NULL, "is_active" bool NOT NULL, "date_joined" datetime NOT NULL, "theme" varchar(8) NOT NULL, "enter_sends" bool NOT NULL, "system_prompt" text NOT NULL, "default_model" varchar(128) NOT NULL, "session_epoch" integer unsigned NOT NULL CHECK ("session_epoch" >= 0));
INSERT INTO "chat_user" ("id", "password", "last_login", "is_superuser", "username", "first_name", "last_name", "email", "is_staff", "is_active", "date_joined", "theme", "enter_sends", "system_prompt", "default_model", "session_epoch") VALUES
(1, 'pbkdf2_sha256$1000000$zaiSYENA8SkqbHfAXJHTAl$vNGCxA+Llu4t8h02MsJivsw6kcQsLEuetFL1qOLW9U8=', '2026-11-29 06:36:28.390632', 0, 'alice', '', '', '', 0, 1, '2026-11-29 06:34:37.846874', 'dark', 0, 'Answer in one sentence.', '', 0),
(2, 'pbkdf2_sha256$1000000$89H5kRIaTfhMZB0x5KO3k1$BkE6oGUGUGHK6nCOejyV49xizKFq6aSMrjNUpIAp0ms=', '2026-11-29 06:36:31.327680', 0, 'bob', '', '', '', 0, 1, '2026-11-29 06:34:38.923737', 'auto', 1, '', '', 0),
(3, 'pbkdf2_sha256$1000000$LuCvZVjkBo0pRlmfREjhU1$v+qz4HchzznlrtqaD4I+BzkwhNHCyxHGKch7au08nZw=', '2026-11-29 06:36:34.258721', 0, 'sam', '', '', '', 1, 1, '2026-11-29 06:34:39.991860', 'auto', 1, '', '', 0),
(4, 'pbkdf2_sha256$1000000$WzKNKOHNlLYYQWwQTVanjD$H7ybfCWDEwVHFsJVw79HXJaUInfIsh1uKCg9kVYoJco=', NULL, 1, 'admin', '', '', '', 1, 1, '2026-11-29 06:34:41.114091', 'auto', 1, '', '', 0);
CREATE TABLE "chat_user_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" bigint NOT NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_user_groups" ("id", "user_id", "group_id") VALUES
(1, 1, 1);
CREATE TABLE "chat_user_user_permissions" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "user_id" bigint NOT NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED, "permission_id" integer NOT NULL REFERENCES "auth_permission" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_user_user_permissions" ("id", "user_id", "permission_id") VALUES
(1, 3, 21),
(2, 3, 46);
CREATE TABLE "chat_apikey" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(80) NOT NULL, "prefix" varchar(16) NOT NULL, "digest" varchar(64) NOT NULL UNIQUE, "created_at" datetime NOT NULL, "last_used_at" datetime NULL, "expires_at" datetime NULL, "revoked_at" datetime NULL, "user_id" bigint NOT NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_apikey" ("id", "name", "prefix", "digest", "created_at", "last_used_at", "expires_at", "revoked_at", "user_id") VALUES
(1, 'usable', 'cs_pyzEm6dq', 'dccb01a6d012ef430cd054b88efbe8602c48d9cc22a95fed8bb8ba6a88c753ed', '2026-11-29 06:34:51.453460', '2026-11-29 06:36:42.828570', NULL, NULL, 1),
(2, 'revoked', 'cs_d80zWExB', '697ce42de243503e63d1734396e9840e9c7dfdbc2126dfa47a6ec2d0a66de334', '2026-11-29 06:34:59.110085', NULL, NULL, '2026-11-29 06:35:21.594013', 1),
(3, 'expired', 'cs_PkAtAmbw', 'bfeef93f70305e77988cbd4a27a6e45011484ab13bf975f83b2bd35414ea297c', '2026-11-29 06:35:06.753485', NULL, '2026-11-28 06:37:03.470702', NULL, 1),
(4, 'of bob', 'cs_fjvrTnoF', '207664218c2b89a01083f1ef4f26cf0bab6b53e4cb9d38800b1303eefd44feba', '2026-11-29 06:35:13.390622', NULL, NULL, NULL, 2);
CREATE TABLE "chat_chatmodel" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "name" varchar(128) NOT NULL UNIQUE, "label" varchar(128) NOT NULL, "context_window" integer unsigned NULL CHECK ("context_window" >= 0), "max_output" integer unsigned NULL CHECK ("max_output" >= 0), "enabled" bool NOT NULL, "is_default" bool NOT NULL);
INSERT INTO "chat_chatmodel" ("id", "name", "label", "context_window", "max_output", "enabled", "is_default") VALUES
(1, 'gpt-4o-mini', 'GPT-4o mini', 128000, 16384, 1, 1),
(2, 'gpt-4o', 'GPT-4o', 128000, 16384, 1, 0),
(3, 'gpt-4.1', 'GPT-4.1', 1047576, 32768, 0, 0),
(4, 'gpt-4.1-mini', 'GPT-4.1 mini', 1047576, 32768, 0, 0),
(5, 'gpt-4.1-nano', 'GPT-4.1 nano', 1047576, 32768, 0, 0);
CREATE TABLE "chat_chatmodel_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "chatmodel_id" bigint NOT NULL REFERENCES "chat_chatmodel" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_chatmodel_groups" ("id", "chatmodel_id", "group_id") VALUES
(1, 2, 1);
CREATE TABLE "chat_plan" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "requests_per_minute" integer unsigned NULL CHECK ("requests_per_minute" >= 0), "requests_per_day" integer unsigned NULL CHECK ("requests_per_day" >= 0), "tokens_per_minute" bigint unsigned NULL CHECK ("tokens_per_minute" >= 0), "tokens_per_day" bigint unsigned NULL CHECK ("tokens_per_day" >= 0), "tokens_per_month" bigint unsigned NULL CHECK ("tokens_per_month" >= 0), "cost_per_day" bigint unsigned NULL CHECK ("cost_per_day" >= 0), "cost_per_month" bigint unsigned NULL CHECK ("cost_per_month" >= 0), "concurrent_answers" integer unsigned NULL CHECK ("concurrent_answers" >= 0), "name" varchar(80) NOT NULL UNIQUE, "is_default" bool NOT NULL);
INSERT INTO "chat_plan" ("id", "requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day", "tokens_per_month", "cost_per_day", "cost_per_month", "concurrent_answers", "name", "is_default") VALUES
(1, 20, NULL, NULL, 2000000, NULL, NULL, NULL, 5, 'Default', 1),
(2, 100, 500, 400000, 5000000, 60000000, 2000000, 30000000, 7, 'Team', 0);
CREATE TABLE "chat_plan_groups" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "plan_id" bigint NOT NULL REFERENCES "chat_plan" ("id") DEFERRABLE INITIALLY DEFERRED, "group_id" integer NOT NULL REFERENCES "auth_group" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_plan_groups" ("id", "plan_id", "group_id") VALUES
(1, 2, 1);
CREATE TABLE "chat_usagerecord" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "message_id" char(32) NOT NULL UNIQUE, "conversation_id" char(32) NOT NULL, "model" varchar(128) NOT NULL, "status" varchar(16) NOT NULL, "reason" varchar(40) NOT NULL, "prompt_tokens" bigint unsigned NOT NULL CHECK ("prompt_tokens" >= 0), "cached_tokens" bigint unsigned NOT NULL CHECK ("cached_tokens" >= 0), "reasoning_tokens" bigint unsigned NOT NULL CHECK ("reasoning_tokens" >= 0), "completion_tokens" bigint unsigned NOT NULL CHECK ("completion_tokens" >= 0), "reserved_tokens" bigint unsigned NOT NULL CHECK ("reserved_tokens" >= 0), "reserved_cost" bigint unsigned NOT NULL CHECK ("reserved_cost" >= 0), "cost" bigint unsigned NULL CHECK ("cost" >= 0), "exact" bool NOT NULL, "first_token_ms" integer unsigned NULL CHECK ("first_token_ms" >= 0), "duration_ms" integer unsigned NULL CHECK ("duration_ms" >= 0), "upstream_request_id" varchar(128) NOT NULL, "created_at" datetime NOT NULL, "day" date NOT NULL, "user_id" bigint NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_usagerecord" ("id", "message_id", "conversation_id", "model", "status", "reason", "prompt_tokens", "cached_tokens", "reasoning_tokens", "completion_tokens", "reserved_tokens", "reserved_cost", "cost", "exact", "first_token_ms", "duration_ms", "upstream_request_id", "created_at", "day", "user_id") VALUES
(1, '3e8e19dfb0e150f987c07c49dfcf0fcf', 'abb65c657918597094fcf98fc88eb980', 'gpt-4o-mini', 'complete', '', 10, 0, 0, 5, 1521, 1205, 6, 1, 648, 736, 'req-fake', '2026-11-27 06:36:35', '2026-11-27', 1),
(2, 'f11bd8c02a535f0689bb82c378523a5a', 'abb65c657918597094fcf98fc88eb980', 'gpt-4o-mini', 'complete', '', 10, 0, 0, 5, 1521, 1205, 6, 1, 56, 127, 'req-fake', '2026-11-27 06:36:36', '2026-11-27', 1),
(3, 'bb0af469f2695f7884cfeb8a5ba2ed7c', 'abb65c657918597094fcf98fc88eb980', 'gpt-4o-mini', 'complete', '', 10, 0, 0, 5, 1535, 1207, 6, 1, 8, 72, 'req-fake', '2026-11-27 06:36:36', '2026-11-27', 1),
(4, '6d21f96f2dd959ee93d82bbd79977e02', 'abb65c657918597094fcf98fc88eb980', 'gpt-4o-mini', 'complete', '', 10, 0, 0, 5, 1536, 1208, 6, 1, 29, 82, 'req-fake', '2026-11-27 06:36:38', '2026-11-27', 1),
(5, '59f01142f1075c38853deb694be47d51', 'b20dda2d37ec526188d91c19f656548b', 'gpt-4o-mini', 'stopped', '', 18, 0, 0, 5, 1518, 1204, 8, 0, 4, 70, '', '2026-11-28 06:36:38', '2026-11-28', 1),
(6, '4ff228e60d0f53fc895b6da668f10ece', '096ab75540475bb090c22a1b79309892', 'gpt-4o-mini', 'interrupted', 'upstream-broken', 22, 0, 0, 4, 1522, 1205, 8, 0, 24, 110, '', '2026-11-28 06:36:39', '2026-11-28', 1),
(7, '67154c498ac258389b2bfd78f90fc7b8', 'ce045cf4861d535b82b96c8c5263d818', 'gpt-4o-mini', 'complete', '', 10, 0, 0, 5, 1518, 1204, 6, 1, 72, 125, 'req-fake', '2026-11-27 06:36:40', '2026-11-27', 1),
(8, '8251da392b6c53b1a2c79d7ec2d1b007', '2ffb296e190356ddbf09b96dd9882ee0', 'gpt-4o-mini', 'failed', 'upstream-rejected', 0, 0, 0, 0, 1510, 1202, 0, 1, NULL, 71, '', '2026-11-28 06:36:40', '2026-11-28', 2),
(9, '4ba85c8964fe553681d36e25c49ecb0b', '8e41e5802f9b5daa80bf18f646e2af7f', 'gpt-4o-mini', 'truncated', '', 10, 0, 0, 5, 1509, 1202, 6, 1, 15, 78, 'req-fake', '2026-11-28 06:36:41', '2026-11-28', 2),
(10, 'c62559e54442566d8d541a9e07af3925', 'f039d89e357e5797b93307f0ea7885cb', 'gpt-4o-mini', 'complete', '', 10, 0, 0, 5, 1520, 1204, 6, 1, 25, 80, 'req-fake', '2026-11-27 06:36:42', '2026-11-27', 1),
(11, '04ede73d4ddd5aa6959c1002731fb112', 'a8d773ebbf5e5c26a5e6348b2f8a8834', 'gpt-4o-mini', 'complete', '', 10, 0, 0, 5, 1519, 1204, 6, 1, 37, 95, 'req-fake', '2026-11-27 06:36:42', '2026-11-27', 1),
(12, 'a5e877d7be80550f9560975905a3371c', '8514cb65cc925a72bedc6799dd74d50f', 'gpt-4o-mini', 'complete', '', 10, 0, 0, 5, 1519, 1204, 6, 1, 4, 55, 'req-fake', '2026-11-27 06:36:43', '2026-11-27', 1),
(13, '10c59cb28cd15d639e3e4451da8d7af2', 'f7d2aab7fd395b8ebb99054dbc6d9883', 'gpt-4o-mini', 'complete', '', 6, 0, 0, 3, 1507, 1202, 4, 1, 21, 79, 'req-fake', '2026-11-27 06:36:43', '2026-11-27', 2),
(14, '27c9f1e66e7358ec9823594a2d3169e8', '886129155861571abac5522e7eac4c25', 'gpt-4o-mini', 'interrupted', 'upstream-timeout', 19, 0, 0, 6, 1519, 1204, 9, 0, 23, 60025, '', '2026-11-28 06:37:44', '2026-11-28', 1);
CREATE TABLE "chat_limitoverride" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "rule" varchar(32) NOT NULL, "value" bigint unsigned NULL CHECK ("value" >= 0), "reason" varchar(200) NOT NULL, "expires_at" datetime NULL, "created_at" datetime NOT NULL, "created_by_id" bigint NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" bigint NOT NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "override_user_rule" UNIQUE ("user_id", "rule"));
INSERT INTO "chat_limitoverride" ("id", "rule", "value", "reason", "expires_at", "created_at", "created_by_id", "user_id") VALUES
(1, 'requests_per_day', 4, 'Four will do.', NULL, '2026-11-29 06:35:32.392730', NULL, 2),
(2, 'requests_per_day', 1, 'Ended', '2026-11-28 06:37:03.470702', '2026-11-29 06:37:03.472255', NULL, 1),
(3, 'concurrent_answers', 9, 'A long one', '2100-01-01 00:00:00', '2026-11-29 06:37:03.500580', NULL, 1);
CREATE TABLE "chat_conversation" ("id" char(32) NOT NULL PRIMARY KEY, "title" varchar(200) NOT NULL, "model" varchar(128) NOT NULL, "system_prompt" text NOT NULL, "client_id" varchar(128) NULL, "transient" bool NOT NULL, "unread" bool NOT NULL, "created_at" datetime NOT NULL, "updated_at" datetime NOT NULL, "deleted_at" datetime NULL, "user_id" bigint NOT NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED, "head_id" char(32) NULL REFERENCES "chat_message" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "conversation_user_client" UNIQUE ("user_id", "client_id"));
INSERT INTO "chat_conversation" ("id", "title", "model", "system_prompt", "client_id", "transient", "unread", "created_at", "updated_at", "deleted_at", "user_id", "head_id") VALUES
('abb65c657918597094fcf98fc88eb980', 'Which colour has the sky?', '', '', NULL, 0, 0, '2026-11-29 06:36:34.639168', '2026-11-29 06:36:37.967212', NULL, 1, '6d21f96f2dd959ee93d82bbd79977e02'),
('b20dda2d37ec526188d91c19f656548b', 'Say very much', '', '', NULL, 0, 0, '2026-11-29 06:36:38.612656', '2026-11-29 06:36:38.612656', NULL, 1, '59f01142f1075c38853deb694be47d51'),
('096ab75540475bb090c22a1b79309892', 'Tell me of the unfinished bridge', '', '', NULL, 0, 0, '2026-11-29 06:36:39.099989', '2026-11-29 06:36:39.099989', NULL, 1, '4ff228e60d0f53fc895b6da668f10ece'),
('ce045cf4861d535b82b96c8c5263d818', 'Über Beuteltiere', 'gpt-4o', 'Be short.', NULL, 0, 0, '2026-11-29 06:36:39.849192', '2026-11-29 06:36:39.849192', NULL, 1, '67154c498ac258389b2bfd78f90fc7b8'),
('2ffb296e190356ddbf09b96dd9882ee0', 'A question that fails', '', '', NULL, 0, 0, '2026-11-29 06:36:40.902533', '2026-11-29 06:36:40.902533', NULL, 2, '8251da392b6c53b1a2c79d7ec2d1b007'),
('8e41e5802f9b5daa80bf18f646e2af7f', 'Tell me everything', '', '', NULL, 0, 0, '2026-11-29 06:36:41.596102', '2026-11-29 06:36:41.596102', NULL, 2, '4ba85c8964fe553681d36e25c49ecb0b'),
('f039d89e357e5797b93307f0ea7885cb', 'A secret that is deleted', '', '', NULL, 0, 0, '2026-11-29 06:36:42.154603', '2026-11-29 06:36:42.154603', '2026-11-29 06:36:42.693046', 1, 'c62559e54442566d8d541a9e07af3925'),
('a8d773ebbf5e5c26a5e6348b2f8a8834', 'Who calls the API?', '', '', 'client-chat', 0, 0, '2026-11-29 06:36:42.837276', '2026-11-29 06:36:42.837276', NULL, 1, '04ede73d4ddd5aa6959c1002731fb112'),
('8514cb65cc925a72bedc6799dd74d50f', 'Who calls the API?', '', '', NULL, 1, 1, '2026-11-29 06:36:43.008489', '2026-11-29 06:36:43.008489', NULL, 1, 'a5e877d7be80550f9560975905a3371c'),
('f7d2aab7fd395b8ebb99054dbc6d9883', 'One too many', '', '', NULL, 0, 1, '2026-11-29 06:36:43.239059', '2026-11-29 06:36:43.239059', NULL, 2, '10c59cb28cd15d639e3e4451da8d7af2'),
('886129155861571abac5522e7eac4c25', 'Is anybody there?', '', '', NULL, 0, 1, '2026-11-29 06:36:44.118447', '2026-11-29 06:36:44.118447', NULL, 1, '27c9f1e66e7358ec9823594a2d3169e8');
CREATE TABLE "chat_modelprice" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "valid_from" datetime NOT NULL, "prompt" bigint unsigned NOT NULL CHECK ("prompt" >= 0), "cached" bigint unsigned NULL CHECK ("cached" >= 0), "completion" bigint unsigned NOT NULL CHECK ("completion" >= 0), "model_id" bigint NOT NULL REFERENCES "chat_chatmodel" ("id") DEFERRABLE INITIALLY DEFERRED, CONSTRAINT "price_model_from" UNIQUE ("model_id", "valid_from"));
INSERT INTO "chat_modelprice" ("id", "valid_from", "prompt", "cached", "completion", "model_id") VALUES
(1, '2024-01-01 00:00:00', 150000, 75000, 600000, 1),
(2, '2024-01-01 00:00:00', 2500000, 1250000, 10000000, 2),
(3, '2024-01-01 00:00:00', 2000000, 500000, 8000000, 3),
(4, '2024-01-01 00:00:00', 400000, 100000, 1600000, 4),
(5, '2024-01-01 00:00:00', 100000, 25000, 400000, 5),
(6, '2026-11-29 06:35:57.905692', 200000, 100000, 800000, 1);
CREATE TABLE "django_admin_log" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "object_id" text NULL, "object_repr" varchar(200) NOT NULL, "action_flag" smallint unsigned NOT NULL CHECK ("action_flag" >= 0), "change_message" text NOT NULL, "content_type_id" integer NULL REFERENCES "django_content_type" ("id") DEFERRABLE INITIALLY DEFERRED, "user_id" bigint NOT NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED, "action_time" datetime NOT NULL);
INSERT INTO "django_admin_log" ("id", "object_id", "object_repr", "action_flag", "change_message", "content_type_id", "user_id", "action_time") VALUES
(1, 'ce045cf4-861d-535b-82b9-6c8c5263d818', 'ce045cf4-861d-535b-82b9-6c8c5263d818', 2, 'Read the conversation. Reason: The owner asked for help with it.', 5, 3, '2026-11-29 06:36:43.853336');
CREATE TABLE "chat_dailyusage" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "model" varchar(128) NOT NULL, "day" date NOT NULL, "requests" integer unsigned NOT NULL CHECK ("requests" >= 0), "failed" integer unsigned NOT NULL CHECK ("failed" >= 0), "stopped" integer unsigned NOT NULL CHECK ("stopped" >= 0), "refusals" integer unsigned NOT NULL CHECK ("refusals" >= 0), "estimated" integer unsigned NOT NULL CHECK ("estimated" >= 0), "prompt_tokens" bigint unsigned NOT NULL CHECK ("prompt_tokens" >= 0), "cached_tokens" bigint unsigned NOT NULL CHECK ("cached_tokens" >= 0), "reasoning_tokens" bigint unsigned NOT NULL CHECK ("reasoning_tokens" >= 0), "completion_tokens" bigint unsigned NOT NULL CHECK ("completion_tokens" >= 0), "cost" bigint unsigned NOT NULL CHECK ("cost" >= 0), "user_id" bigint NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED, "first_token_to_100" integer unsigned NOT NULL CHECK ("first_token_to_100" >= 0), "first_token_to_200" integer unsigned NOT NULL CHECK ("first_token_to_200" >= 0), "first_token_to_300" integer unsigned NOT NULL CHECK ("first_token_to_300" >= 0), "first_token_to_500" integer unsigned NOT NULL CHECK ("first_token_to_500" >= 0), "first_token_to_750" integer unsigned NOT NULL CHECK ("first_token_to_750" >= 0), "first_token_to_1000" integer unsigned NOT NULL CHECK ("first_token_to_1000" >= 0), "first_token_to_1500" integer unsigned NOT NULL CHECK ("first_token_to_1500" >= 0), "first_token_to_2000" integer unsigned NOT NULL CHECK ("first_token_to_2000" >= 0), "first_token_to_3000" integer unsigned NOT NULL CHECK ("first_token_to_3000" >= 0), "first_token_to_5000" integer unsigned NOT NULL CHECK ("first_token_to_5000" >= 0), "first_token_to_10000" integer unsigned NOT NULL CHECK ("first_token_to_10000" >= 0), "first_token_to_30000" integer unsigned NOT NULL CHECK ("first_token_to_30000" >= 0), "first_token_later" integer unsigned NOT NULL CHECK ("first_token_later" >= 0), "unpriced" integer unsigned NOT NULL CHECK ("unpriced" >= 0), CONSTRAINT "daily_user_model_day" UNIQUE ("user_id", "model", "day"));
INSERT INTO "chat_dailyusage" ("id", "model", "day", "requests", "failed", "stopped", "refusals", "estimated", "prompt_tokens", "cached_tokens", "reasoning_tokens", "completion_tokens", "cost", "user_id", "first_token_to_100", "first_token_to_200", "first_token_to_300", "first_token_to_500", "first_token_to_750", "first_token_to_1000", "first_token_to_1500", "first_token_to_2000", "first_token_to_3000", "first_token_to_5000", "first_token_to_10000", "first_token_to_30000", "first_token_later", "unpriced") VALUES
(1, 'gpt-4o-mini', '2026-11-28', 3, 2, 1, 0, 3, 59, 0, 0, 15, 25, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
(2, 'gpt-4o-mini', '2026-11-28', 2, 1, 0, 0, 0, 10, 0, 0, 5, 6, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
(3, 'gpt-4o-mini', '2026-11-27', 8, 0, 0, 0, 0, 80, 0, 0, 40, 48, 1, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
(4, 'gpt-4o-mini', '2026-11-27', 1, 0, 0, 0, 0, 6, 0, 0, 3, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
CREATE TABLE "chat_conversationreading" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "conversation_id" char(32) NOT NULL, "reader_name" varchar(150) NOT NULL, "reason" varchar(500) NOT NULL, "read_at" datetime NOT NULL, "owner_id" bigint NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED, "reader_id" bigint NULL REFERENCES "chat_user" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_conversationreading" ("id", "conversation_id", "reader_name", "reason", "read_at", "owner_id", "reader_id") VALUES
(1, 'ce045cf4861d535b82b96c8c5263d818', 'sam', 'The owner asked for help with it.', '2026-11-29 06:36:43.852221', 1, 3);
CREATE TABLE "chat_searchentry" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "conversation_id" char(32) NOT NULL REFERENCES "chat_conversation" ("id") DEFERRABLE INITIALLY DEFERRED, "message_id" char(32) NULL UNIQUE REFERENCES "chat_message" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_searchentry" ("id", "conversation_id", "message_id") VALUES
(1, 'abb65c657918597094fcf98fc88eb980', NULL),
(2, 'abb65c657918597094fcf98fc88eb980', '6a3cca31796559969b6a07ab0d4ba89e'),
(3, 'abb65c657918597094fcf98fc88eb980', '3e8e19dfb0e150f987c07c49dfcf0fcf'),
(4, 'abb65c657918597094fcf98fc88eb980', 'f11bd8c02a535f0689bb82c378523a5a'),
(5, 'abb65c657918597094fcf98fc88eb980', '07d52111e0e1554bacae2bbfefb98aee'),
(6, 'abb65c657918597094fcf98fc88eb980', 'bb0af469f2695f7884cfeb8a5ba2ed7c'),
(7, 'abb65c657918597094fcf98fc88eb980', '0253c8f8d1435ac18cbb706e957af918'),
(8, 'abb65c657918597094fcf98fc88eb980', '6d21f96f2dd959ee93d82bbd79977e02'),
(9, 'b20dda2d37ec526188d91c19f656548b', NULL),
(10, 'b20dda2d37ec526188d91c19f656548b', '9ec8c6304b855f59ae69b49683349307'),
(11, 'b20dda2d37ec526188d91c19f656548b', '59f01142f1075c38853deb694be47d51'),
(12, '096ab75540475bb090c22a1b79309892', NULL),
(13, '096ab75540475bb090c22a1b79309892', '44fea50bdb6c5fe7ab81f66a0d60d079'),
(14, '096ab75540475bb090c22a1b79309892', '4ff228e60d0f53fc895b6da668f10ece'),
(16, 'ce045cf4861d535b82b96c8c5263d818', '7d61f9db48e25fcaa683c61e985ee335'),
(17, 'ce045cf4861d535b82b96c8c5263d818', '67154c498ac258389b2bfd78f90fc7b8'),
(18, 'ce045cf4861d535b82b96c8c5263d818', NULL),
(19, '2ffb296e190356ddbf09b96dd9882ee0', NULL),
(20, '2ffb296e190356ddbf09b96dd9882ee0', 'e804d7904df055099bd7ad203b106ccb'),
(21, '8e41e5802f9b5daa80bf18f646e2af7f', NULL),
(22, '8e41e5802f9b5daa80bf18f646e2af7f', 'e0567170a30e586f892254435cf3a526'),
(23, '8e41e5802f9b5daa80bf18f646e2af7f', '4ba85c8964fe553681d36e25c49ecb0b'),
(24, 'f039d89e357e5797b93307f0ea7885cb', NULL),
(25, 'f039d89e357e5797b93307f0ea7885cb', '741ccb6f9a9159ffa516f0887c5d9897'),
(26, 'f039d89e357e5797b93307f0ea7885cb', 'c62559e54442566d8d541a9e07af3925'),
(27, 'a8d773ebbf5e5c26a5e6348b2f8a8834', NULL),
(28, 'a8d773ebbf5e5c26a5e6348b2f8a8834', 'f86752eb4a505e19950b51e8d817700e'),
(29, 'a8d773ebbf5e5c26a5e6348b2f8a8834', '04ede73d4ddd5aa6959c1002731fb112'),
(30, 'f7d2aab7fd395b8ebb99054dbc6d9883', NULL),
(31, 'f7d2aab7fd395b8ebb99054dbc6d9883', '405af94b5ddf5a2092e01d14bf07ce99'),
(32, 'f7d2aab7fd395b8ebb99054dbc6d9883', '10c59cb28cd15d639e3e4451da8d7af2'),
(33, '886129155861571abac5522e7eac4c25', NULL),
(34, '886129155861571abac5522e7eac4c25', 'e06f73b710e25e0ab149f3b89f05296f'),
(35, '886129155861571abac5522e7eac4c25', '27c9f1e66e7358ec9823594a2d3169e8');
CREATE TABLE "chat_message" ("id" char(32) NOT NULL PRIMARY KEY, "role" varchar(16) NOT NULL, "status" varchar(16) NOT NULL, "content" text NOT NULL, "reasoning" text NOT NULL, "model" varchar(128) NOT NULL, "client_key" varchar(64) NOT NULL, "prompt_tokens" integer unsigned NULL CHECK ("prompt_tokens" >= 0), "completion_tokens" integer unsigned NULL CHECK ("completion_tokens" >= 0), "reserved_tokens" bigint unsigned NOT NULL CHECK ("reserved_tokens" >= 0), "reserved_cost" bigint unsigned NOT NULL CHECK ("reserved_cost" >= 0), "turns_left_out" integer unsigned NOT NULL CHECK ("turns_left_out" >= 0), "output_cap" integer unsigned NULL CHECK ("output_cap" >= 0), "error_code" varchar(40) NOT NULL, "retry_at" datetime NULL, "stop_requested" bool NOT NULL, "created_at" datetime NOT NULL, "first_token_at" datetime NULL, "finished_at" datetime NULL, "conversation_id" char(32) NOT NULL REFERENCES "chat_conversation" ("id") DEFERRABLE INITIALLY DEFERRED, "owner_id" char(32) NULL REFERENCES "chat_serverprocess" ("id") DEFERRABLE INITIALLY DEFERRED, "prefix_length" integer unsigned NOT NULL CHECK ("prefix_length" >= 0), "parent_id" char(32) NULL REFERENCES "chat_message" ("id") DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "chat_message" ("id", "role", "status", "content", "reasoning", "model", "client_key", "prompt_tokens", "completion_tokens", "reserved_tokens", "reserved_cost", "turns_left_out", "output_cap", "error_code", "retry_at", "stop_requested", "created_at", "first_token_at", "finished_at", "conversation_id", "owner_id", "prefix_length", "parent_id") VALUES
('6a3cca31796559969b6a07ab0d4ba89e', 'user', 'complete', 'Which colour has the sky?', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:34.639168', NULL, '2026-11-29 06:36:34.639168', 'abb65c657918597094fcf98fc88eb980', NULL, 0, NULL),
('3e8e19dfb0e150f987c07c49dfcf0fcf', 'assistant', 'complete', '**Blue** and sometimes *red*.', '', 'gpt-4o-mini', '5fcddc9b-bd5a-52a4-b8df-0d1e0b978150', 10, 5, 1521, 1205, 0, NULL, '', NULL, 0, '2026-11-29 06:36:34.640518', '2026-11-29 06:36:35.290773', '2026-11-29 06:36:35.380280', 'abb65c657918597094fcf98fc88eb980', NULL, 0, '6a3cca31796559969b6a07ab0d4ba89e'),
('f11bd8c02a535f0689bb82c378523a5a', 'assistant', 'complete', 'Grey, today.', '', 'gpt-4o-mini', '0907e2f1-badd-520d-b459-9043754ff13e', 10, 5, 1521, 1205, 0, NULL, '', NULL, 0, '2026-11-29 06:36:36.034143', '2026-11-29 06:36:36.095760', '2026-11-29 06:36:36.167312', 'abb65c657918597094fcf98fc88eb980', NULL, 0, '6a3cca31796559969b6a07ab0d4ba89e'),
('07d52111e0e1554bacae2bbfefb98aee', 'user', 'complete', 'And the sea?', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:36.760875', NULL, '2026-11-29 06:36:36.760875', 'abb65c657918597094fcf98fc88eb980', NULL, 0, 'f11bd8c02a535f0689bb82c378523a5a'),
('bb0af469f2695f7884cfeb8a5ba2ed7c', 'assistant', 'complete', 'Green 😀 and `deep`:

```python
print(''sea'')
```', '', 'gpt-4o-mini', '9c466722-565e-5ff6-9d87-546051aac5b8', 10, 5, 1535, 1207, 0, NULL, '', NULL, 0, '2026-11-29 06:36:36.761096', '2026-11-29 06:36:36.770843', '2026-11-29 06:36:36.838066', 'abb65c657918597094fcf98fc88eb980', NULL, 0, '07d52111e0e1554bacae2bbfefb98aee'),
('0253c8f8d1435ac18cbb706e957af918', 'user', 'complete', 'And the ocean?', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:37.967212', NULL, '2026-11-29 06:36:37.967212', 'abb65c657918597094fcf98fc88eb980', NULL, 0, 'f11bd8c02a535f0689bb82c378523a5a'),
('6d21f96f2dd959ee93d82bbd79977e02', 'assistant', 'complete', 'As the sea.', '', 'gpt-4o-mini', '93fd35b4-a3a8-5d5c-85f8-00950d85c543', 10, 5, 1536, 1208, 0, NULL, '', NULL, 0, '2026-11-29 06:36:37.967382', '2026-11-29 06:36:38.006768', '2026-11-29 06:36:38.102416', 'abb65c657918597094fcf98fc88eb980', NULL, 0, '0253c8f8d1435ac18cbb706e957af918'),
('9ec8c6304b855f59ae69b49683349307', 'user', 'complete', 'Say very much', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:38.612656', NULL, '2026-11-29 06:36:38.612656', 'b20dda2d37ec526188d91c19f656548b', NULL, 0, NULL),
('59f01142f1075c38853deb694be47d51', 'assistant', 'stopped', 'As much as was said ', '', 'gpt-4o-mini', '8755c1fe-fe6e-5a04-a0e8-8fa3116728c2', 18, 5, 1518, 1204, 0, NULL, '', NULL, 1, '2026-11-29 06:36:38.613361', '2026-11-29 06:36:38.618329', '2026-11-29 06:36:38.697610', 'b20dda2d37ec526188d91c19f656548b', NULL, 0, '9ec8c6304b855f59ae69b49683349307'),
('44fea50bdb6c5fe7ab81f66a0d60d079', 'user', 'complete', 'Tell me of the unfinished bridge', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:39.099989', NULL, '2026-11-29 06:36:39.099989', '096ab75540475bb090c22a1b79309892', NULL, 0, NULL),
('4ff228e60d0f53fc895b6da668f10ece', 'assistant', 'interrupted', 'It was begun ', '', 'gpt-4o-mini', '827b0a0e-fd9b-584c-91aa-a1edea01335c', 22, 4, 1522, 1205, 0, NULL, 'upstream-broken', NULL, 0, '2026-11-29 06:36:39.100621', '2026-11-29 06:36:39.135492', '2026-11-29 06:36:39.234708', '096ab75540475bb090c22a1b79309892', NULL, 0, '44fea50bdb6c5fe7ab81f66a0d60d079'),
('7d61f9db48e25fcaa683c61e985ee335', 'user', 'complete', 'Name a marsupial', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:39.849192', NULL, '2026-11-29 06:36:39.849192', 'ce045cf4861d535b82b96c8c5263d818', NULL, 0, NULL),
('67154c498ac258389b2bfd78f90fc7b8', 'assistant', 'complete', 'The wombat.', '', 'gpt-4o-mini', '4ab1d8b0-339c-5196-9196-355c0f229caf', 10, 5, 1518, 1204, 0, NULL, '', NULL, 0, '2026-11-29 06:36:39.850070', '2026-11-29 06:36:39.939608', '2026-11-29 06:36:40.022084', 'ce045cf4861d535b82b96c8c5263d818', NULL, 0, '7d61f9db48e25fcaa683c61e985ee335'),
('e804d7904df055099bd7ad203b106ccb', 'user', 'complete', 'A question that fails', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:40.902533', NULL, '2026-11-29 06:36:40.902533', '2ffb296e190356ddbf09b96dd9882ee0', NULL, 0, NULL),
('8251da392b6c53b1a2c79d7ec2d1b007', 'assistant', 'failed', '', '', 'gpt-4o-mini', 'c3667ead-8563-5b56-b09b-cf60c40816df', 0, 0, 1510, 1202, 0, NULL, 'upstream-rejected', NULL, 0, '2026-11-29 06:36:40.903295', NULL, '2026-11-29 06:36:40.996717', '2ffb296e190356ddbf09b96dd9882ee0', NULL, 0, 'e804d7904df055099bd7ad203b106ccb'),
('e0567170a30e586f892254435cf3a526', 'user', 'complete', 'Tell me everything', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:41.596102', NULL, '2026-11-29 06:36:41.596102', '8e41e5802f9b5daa80bf18f646e2af7f', NULL, 0, NULL),
('4ba85c8964fe553681d36e25c49ecb0b', 'assistant', 'truncated', 'Everything is', '', 'gpt-4o-mini', 'ea7d6a88-a121-547b-944f-111e95d656a3', 10, 5, 1509, 1202, 0, NULL, '', NULL, 0, '2026-11-29 06:36:41.598330', '2026-11-29 06:36:41.615455', '2026-11-29 06:36:41.690845', '8e41e5802f9b5daa80bf18f646e2af7f', NULL, 0, 'e0567170a30e586f892254435cf3a526'),
('741ccb6f9a9159ffa516f0887c5d9897', 'user', 'complete', 'A secret that is deleted', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:42.154603', NULL, '2026-11-29 06:36:42.154603', 'f039d89e357e5797b93307f0ea7885cb', NULL, 0, NULL),
('c62559e54442566d8d541a9e07af3925', 'assistant', 'complete', 'Gone.', '', 'gpt-4o-mini', '87288e00-5092-57fa-a758-be63c3daf0d7', 10, 5, 1520, 1204, 0, NULL, '', NULL, 0, '2026-11-29 06:36:42.155233', '2026-11-29 06:36:42.183030', '2026-11-29 06:36:42.242132', 'f039d89e357e5797b93307f0ea7885cb', NULL, 0, '741ccb6f9a9159ffa516f0887c5d9897'),
('f86752eb4a505e19950b51e8d817700e', 'user', 'complete', 'Who calls the API?', '', '', '99d48f11-a117-5ce5-8585-4725c227aabd', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:42.837276', NULL, '2026-11-29 06:36:42.837276', 'a8d773ebbf5e5c26a5e6348b2f8a8834', NULL, 0, NULL),
('04ede73d4ddd5aa6959c1002731fb112', 'assistant', 'complete', 'A program does.', '', 'gpt-4o-mini', '99d48f11-a117-5ce5-8585-4725c227aabd', 10, 5, 1519, 1204, 0, NULL, '', NULL, 0, '2026-11-29 06:36:42.838543', '2026-11-29 06:36:42.877083', '2026-11-29 06:36:42.934809', 'a8d773ebbf5e5c26a5e6348b2f8a8834', NULL, 0, 'f86752eb4a505e19950b51e8d817700e'),
('e126a65ef8b6560baf1bae0fb023f9dd', 'user', 'complete', 'Who calls the API?', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:43.008489', NULL, '2026-11-29 06:36:43.008489', '8514cb65cc925a72bedc6799dd74d50f', NULL, 0, NULL),
('a5e877d7be80550f9560975905a3371c', 'assistant', 'complete', 'A program does.', '', 'gpt-4o-mini', '829aca3b-4a60-4628-b873-2f065bea1a9e', 10, 5, 1519, 1204, 0, NULL, '', NULL, 0, '2026-11-29 06:36:43.009222', '2026-11-29 06:36:43.034604', '2026-11-29 06:36:43.118057', '8514cb65cc925a72bedc6799dd74d50f', NULL, 0, 'e126a65ef8b6560baf1bae0fb023f9dd'),
('405af94b5ddf5a2092e01d14bf07ce99', 'user', 'complete', 'One too many', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:43.239059', NULL, '2026-11-29 06:36:43.239059', 'f7d2aab7fd395b8ebb99054dbc6d9883', NULL, 0, NULL),
('10c59cb28cd15d639e3e4451da8d7af2', 'assistant', 'complete', 'One too many ', '', 'gpt-4o-mini', 'ae2ed1df-21a0-474b-a2d8-d2cfbd050429', 6, 3, 1507, 1202, 0, NULL, '', NULL, 0, '2026-11-29 06:36:43.239905', '2026-11-29 06:36:43.278954', '2026-11-29 06:36:43.350132', 'f7d2aab7fd395b8ebb99054dbc6d9883', NULL, 0, '405af94b5ddf5a2092e01d14bf07ce99'),
('e06f73b710e25e0ab149f3b89f05296f', 'user', 'complete', 'Is anybody there?', '', '', '', NULL, NULL, 0, 0, 0, NULL, '', NULL, 0, '2026-11-29 06:36:44.118447', NULL, '2026-11-29 06:36:44.118447', '886129155861571abac5522e7eac4c25', NULL, 0, NULL),
('27c9f1e66e7358ec9823594a2d3169e8', 'assistant', 'interrupted', 'Words that were saved ', '', 'gpt-4o-mini', '6e5481bc-4287-54ec-a25e-6c0edd27b95d', 19, 6, 1519, 1204, 0, NULL, 'upstream-timeout', NULL, 0, '2026-11-29 06:36:44.118994', '2026-11-29 06:36:44.142633', '2026-11-29 06:37:44.146205', '886129155861571abac5522e7eac4c25', NULL, 0, 'e06f73b710e25e0ab149f3b89f05296f');
CREATE TABLE "django_session" ("session_key" varchar(40) NOT NULL PRIMARY KEY, "session_data" text NOT NULL, "expire_date" datetime NOT NULL);
INSERT INTO "django_session" ("session_key", "session_data", "expire_date") VALUES
('xspc1bcvyt1hp1bpcjlxg1phb5fbul24', '.eJxVTj0PwiAU_C-sKuHRJ7Qd3d3cCYWHRQ2Y0iYa43-3bbqYXG64r9yHmRKTI9YiCImItRB7Zuw09mYqNJjoWcuA_WmddXdKi-FvNl0zdzmNQ-z4EuGbW_g5e3qctuzfQG9LP7cr8pVEqxpoXO3QIwSrEUFpf5QBQwBPoFE1BFSB9FJ3IGulldJOg1pfFSol5mTo9YzDex6VIMRBwIyLEO2K3crs-wOE4khB:1xXYX1:sOzyrJwQ3QrQxZ4Q7cN7U1XVMTU4Tz-H3ZH1HtgvOwc', '2100-01-01 00:00:00'),
('7dnw95huqxg6b8s6ak37fe9hix75ty4g', '.eJxVjDsOgzAQRO_iOrKMf2FTps8ZrN31OpBERsJQRbl7QKKhGmnem_mq1MbKom7dFQI430F3UQnXZUhrkzmNWd2UVaeOkN9Sd5BfWJ-T5qku80h6V_RBm35MWT73wz0dDNiGbc2MJATobcbsHUkJEWIuPgIWY0uxVhz3wMEZNrE30SP1ZAyFLQuo3x_Vwz4X:1xXYWV:MjL_f-xwD_8Yx-TSva4ar8_GZiB6DE2w3do8OTKz80A', '2026-12-13 06:36:31.355460'),
('7a1rfyruy5b047adj5fh77l6cbgoqe0m', '.eJxVjEEOwiAQRe_C2hA6w0Bx6d4zkGEAWzVtUtqV8e7apJtu_3vvf1Rs4yRFXTsfKKDtgr2oyNs6xK2VJY5ZXRWq05ZYXmXaQX7y9Ji1zNO6jEnvij5o0_c5l_ftcE8HA7fhXwMln20qwkyExSEaQhRjIHcAUr2g81Cd2FqEXCa2hnsAsMS1d0F9f5iXPL4:1xXYWY:QNISeYSNk4OPAy2jUMtHYF5vIYkpnhbZoZokLK0iX1w', '2026-12-13 06:36:34.272349');
DELETE FROM sqlite_sequence;
INSERT INTO "sqlite_sequence" ("name", "seq") VALUES
('django_migrations', 24),
('django_content_type', 18),
('auth_permission', 74),
('auth_group', 1),
('chat_limitoverride', 3),
('chat_modelprice', 6),
('django_admin_log', 1),
('chat_chatmodel', 5),
('chat_plan', 2),
('chat_dailyusage', 4),
('chat_searchentry', 35),
('chat_user', 4),
('chat_user_user_permissions', 2),
('chat_user_groups', 1),
('chat_plan_groups', 1),
('chat_chatmodel_groups', 1),
('chat_apikey', 4),
('chat_usagerecord', 14),
('chat_conversationreading', 1);
CREATE UNIQUE INDEX "django_content_type_app_label_model_76bd3d3b_uniq" ON "django_content_type" ("app_label", "model");
CREATE UNIQUE INDEX "auth_group_permissions_group_id_permission_id_0cd325b0_uniq" ON "auth_group_permissions" ("group_id", "permission_id");
CREATE INDEX "auth_group_permissions_group_id_b120cbf9" ON "auth_group_permissions" ("group_id");
CREATE INDEX "auth_group_permissions_permission_id_84c5c92e" ON "auth_group_permissions" ("permission_id");
CREATE UNIQUE INDEX "auth_permission_content_type_id_codename_01ab375a_uniq" ON "auth_permission" ("content_type_id", "codename");
CREATE INDEX "auth_permission_content_type_id_2f476e4b" ON "auth_permission" ("content_type_id");
CREATE UNIQUE INDEX "model_one_default" ON "chat_chatmodel" ("is_default") WHERE "is_default";
CREATE INDEX "chat_serverprocess_heartbeat_at_73803745" ON "chat_serverprocess" ("heartbeat_at");
CREATE UNIQUE INDEX "chat_user_groups_user_id_group_id_b44ee6ad_uniq" ON "chat_user_groups" ("user_id", "group_id");
CREATE INDEX "chat_user_groups_user_id_3784c6c8" ON "chat_user_groups" ("user_id");
CREATE INDEX "chat_user_groups_group_id_79acbd29" ON "chat_user_groups" ("group_id");
CREATE UNIQUE INDEX "chat_user_user_permissions_user_id_permission_id_94176845_uniq" ON "chat_user_user_permissions" ("user_id", "permission_id");
CREATE INDEX "chat_user_user_permissions_user_id_5b7ea77b" ON "chat_user_user_permissions" ("user_id");
CREATE INDEX "chat_user_user_permissions_permission_id_3e59ce8b" ON "chat_user_user_permissions" ("permission_id");
CREATE INDEX "chat_apikey_prefix_623c829c" ON "chat_apikey" ("prefix");
CREATE INDEX "chat_apikey_user_id_cb1b7856" ON "chat_apikey" ("user_id");
CREATE UNIQUE INDEX "chat_chatmodel_groups_chatmodel_id_group_id_43ef5d29_uniq" ON "chat_chatmodel_groups" ("chatmodel_id", "group_id");
CREATE INDEX "chat_chatmodel_groups_chatmodel_id_a4004218" ON "chat_chatmodel_groups" ("chatmodel_id");
CREATE INDEX "chat_chatmodel_groups_group_id_3b82e54e" ON "chat_chatmodel_groups" ("group_id");
CREATE UNIQUE INDEX "chat_plan_groups_plan_id_group_id_b2583f30_uniq" ON "chat_plan_groups" ("plan_id", "group_id");
CREATE INDEX "chat_plan_groups_plan_id_eb992e23" ON "chat_plan_groups" ("plan_id");
CREATE INDEX "chat_plan_groups_group_id_b7cd3d4c" ON "chat_plan_groups" ("group_id");
CREATE INDEX "chat_usagerecord_conversation_id_c30ee892" ON "chat_usagerecord" ("conversation_id");
CREATE INDEX "chat_usagerecord_user_id_3d3d02c1" ON "chat_usagerecord" ("user_id");
CREATE INDEX "chat_limitoverride_created_by_id_075efc32" ON "chat_limitoverride" ("created_by_id");
CREATE INDEX "chat_limitoverride_user_id_955adb9c" ON "chat_limitoverride" ("user_id");
CREATE INDEX "chat_conversation_user_id_15357b84" ON "chat_conversation" ("user_id");
CREATE INDEX "chat_conversation_head_id_8b9f89e1" ON "chat_conversation" ("head_id");
CREATE INDEX "conversation_user_updated" ON "chat_conversation" ("user_id", "updated_at" DESC);
CREATE INDEX "chat_modelprice_model_id_d5a19318" ON "chat_modelprice" ("model_id");
CREATE UNIQUE INDEX "plan_one_default" ON "chat_plan" ("is_default") WHERE "is_default";
CREATE INDEX "usage_created" ON "chat_usagerecord" ("created_at" DESC);
CREATE INDEX "usage_user_day" ON "chat_usagerecord" ("user_id", "day");
CREATE INDEX "usage_day" ON "chat_usagerecord" ("day");
CREATE INDEX "django_admin_log_content_type_id_c4bce8eb" ON "django_admin_log" ("content_type_id");
CREATE INDEX "django_admin_log_user_id_c564eba6" ON "django_admin_log" ("user_id");
CREATE INDEX "chat_dailyusage_day_5234ad1a" ON "chat_dailyusage" ("day");
CREATE INDEX "chat_dailyusage_user_id_b343ab0f" ON "chat_dailyusage" ("user_id");
CREATE INDEX "daily_day_user" ON "chat_dailyusage" ("day", "user_id");
CREATE INDEX "chat_conversationreading_conversation_id_b16ad046" ON "chat_conversationreading" ("conversation_id");
CREATE INDEX "chat_conversationreading_read_at_cdacb17c" ON "chat_conversationreading" ("read_at");
CREATE INDEX "chat_conversationreading_owner_id_2a27a460" ON "chat_conversationreading" ("owner_id");
CREATE INDEX "chat_conversationreading_reader_id_1b1257a9" ON "chat_conversationreading" ("reader_id");
CREATE UNIQUE INDEX "search_one_title" ON "chat_searchentry" ("conversation_id") WHERE "message_id" IS NULL;
CREATE INDEX "chat_searchentry_conversation_id_421136f9" ON "chat_searchentry" ("conversation_id");
CREATE UNIQUE INDEX "message_one_running" ON "chat_message" ("conversation_id") WHERE "status" IN ('pending', 'streaming');
CREATE INDEX "chat_message_conversation_id_a1207bf4" ON "chat_message" ("conversation_id");
CREATE INDEX "chat_message_owner_id_20a4d94c" ON "chat_message" ("owner_id");
CREATE INDEX "chat_message_parent_id_d93c704f" ON "chat_message" ("parent_id");
CREATE INDEX "message_conversation_created" ON "chat_message" ("conversation_id", "created_at");
CREATE INDEX "message_running_owner" ON "chat_message" ("owner_id") WHERE "status" IN ('pending', 'streaming');
CREATE INDEX "django_session_expire_date_a5c62663" ON "django_session" ("expire_date");
CREATE VIRTUAL TABLE chat_search
USING fts5(owner, body, tokenize = 'unicode61 remove_diacritics 2', prefix = '3');
INSERT INTO "chat_search" ("rowid", "owner", "body") VALUES
(1, 'u1', 'Which colour has the sky?'),
(2, 'u1', 'Which colour has the sky?'),
(3, 'u1', '**Blue** and sometimes *red*.'),
(4, 'u1', 'Grey, today.'),
(5, 'u1', 'And the sea?'),
(6, 'u1', 'Green 😀 and `deep`:

```python
print(''sea'')
```'),
(7, 'u1', 'And the ocean?'),
(8, 'u1', 'As the sea.'),
(9, 'u1', 'Say very much'),
(10, 'u1', 'Say very much'),
(11, 'u1', 'As much as was said '),
(12, 'u1', 'Tell me of the unfinished bridge'),
(13, 'u1', 'Tell me of the unfinished bridge'),
(14, 'u1', 'It was begun '),
(16, 'u1', 'Name a marsupial'),
(17, 'u1', 'The wombat.'),
(18, 'u1', 'Über Beuteltiere'),
(19, 'u2', 'A question that fails'),
(20, 'u2', 'A question that fails'),
(21, 'u2', 'Tell me everything'),
(22, 'u2', 'Tell me everything'),
(23, 'u2', 'Everything is'),
(24, 'u1', 'A secret that is deleted'),
(25, 'u1', 'A secret that is deleted'),
(26, 'u1', 'Gone.'),
(27, 'u1', 'Who calls the API?'),
(28, 'u1', 'Who calls the API?'),
(29, 'u1', 'A program does.'),
(30, 'u2', 'One too many'),
(31, 'u2', 'One too many'),
(32, 'u2', 'One too many '),
(33, 'u1', 'Is anybody there?'),
(34, 'u1', 'Is anybody there?'),
(35, 'u1', 'Words that were saved ');
CREATE TRIGGER chat_search_message_added AFTER INSERT ON chat_message WHEN NEW.status NOT IN ('pending', 'streaming') AND NEW.content <> '' BEGIN 
    DELETE FROM chat_searchentry WHERE message_id = NEW.id;
    INSERT INTO chat_searchentry (conversation_id, message_id)
        SELECT id, NEW.id FROM chat_conversation WHERE id = NEW.conversation_id AND NOT transient;
    INSERT INTO chat_search (rowid, owner, body)
        SELECT entry.id, 'u' || conversation.user_id, substr(NEW.content, 1, 100000)
        FROM chat_searchentry AS entry JOIN chat_conversation AS conversation ON conversation.id = entry.conversation_id
        WHERE entry.message_id = NEW.id;
 END;
CREATE TRIGGER chat_search_message_changed AFTER UPDATE OF status, content ON chat_message WHEN NEW.status NOT IN ('pending', 'streaming') AND NEW.content <> '' BEGIN 
    DELETE FROM chat_searchentry WHERE message_id = NEW.id;
    INSERT INTO chat_searchentry (conversation_id, message_id)
        SELECT id, NEW.id FROM chat_conversation WHERE id = NEW.conversation_id AND NOT transient;
    INSERT INTO chat_search (rowid, owner, body)
        SELECT entry.id, 'u' || conversation.user_id, substr(NEW.content, 1, 100000)
        FROM chat_searchentry AS entry JOIN chat_conversation AS conversation ON conversation.id = entry.conversation_id
        WHERE entry.message_id = NEW.id;
 END;
CREATE TRIGGER chat_search_title_added AFTER INSERT ON chat_conversation WHEN NEW.title <> '' AND NOT NEW.transient BEGIN 
    DELETE FROM chat_searchentry WHERE conversation_id = NEW.id AND message_id IS NULL;
    INSERT INTO chat_searchentry (conversation_id, message_id) VALUES (NEW.id, NULL);
    INSERT INTO chat_search (rowid, owner, body)
        SELECT id, 'u' || NEW.user_id, NEW.title FROM chat_searchentry
        WHERE conversation_id = NEW.id AND message_id IS NULL;
 END;
CREATE TRIGGER chat_search_title_changed AFTER UPDATE OF title ON chat_conversation WHEN NEW.title <> OLD.title AND NOT NEW.transient BEGIN 
    DELETE FROM chat_searchentry WHERE conversation_id = NEW.id AND message_id IS NULL;
    INSERT INTO chat_searchentry (conversation_id, message_id) VALUES (NEW.id, NULL);
    INSERT INTO chat_search (rowid, owner, body)
        SELECT id, 'u' || NEW.user_id, NEW.title FROM chat_searchentry
        WHERE conversation_id = NEW.id AND message_id IS NULL;
 END;
CREATE TRIGGER chat_search_entry_removed AFTER DELETE ON chat_searchentry BEGIN DELETE FROM chat_search WHERE rowid = OLD.id; END;
COMMIT;
