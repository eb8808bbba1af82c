/** The schema that contains all tables of a pool. A role that owns it needs no other right in the database. */
export const SCHEMA = "pi_multicodex";

/** The channel of notifications. A database contains at most one pool. */
export const CHANNEL = "pi_multicodex";

/**
 * Creates the tables in steps, numbered from 1. Each may run on a database that already has its tables. A published
 * step is never changed; add the next one below. For PostgreSQL 15 and newer.
 */
export const MIGRATIONS: readonly string[] = [
	`
	-- One row. "revision" grows with every claim and with every change of an account, which so wait for each other.
	create table if not exists ${SCHEMA}.pool (
		only_one boolean primary key default true check (only_one),
		id text not null,
		name text not null,
		keeper_key_id text not null,
		runner_key_id text not null,
		revision bigint not null default 0
	);
	-- A row whose account was taken out stays, without what it held, so that its version goes on growing.
	create table if not exists ${SCHEMA}.account (
		id text primary key,
		version bigint not null,
		for_keepers bytea not null,
		for_runners bytea not null,
		token_hash text not null,
		expires_at bigint not null,
		enabled boolean not null,
		disabled_reason text,
		needs_login json,
		is_gone boolean not null default false
	);
	create table if not exists ${SCHEMA}.status (
		account text primary key,
		version bigint not null,
		status json not null
	);
	-- Who may send which refresh token, and why one is never sent again.
	create table if not exists ${SCHEMA}.claim (
		account text not null,
		token_hash text not null,
		holder text not null,
		claimed_at timestamptz not null,
		outcome text,
		primary key (account, token_hash)
	);
	create table if not exists ${SCHEMA}.presence (
		process text primary key,
		machine text not null,
		sessions json not null,
		seen_at timestamptz not null
	);
	create table if not exists ${SCHEMA}.pin (
		only_one boolean primary key default true check (only_one),
		account text,
		version bigint not null
	);
	insert into ${SCHEMA}.pin (account, version) values (null, 0) on conflict do nothing;
	`,
];

/** The version of the tables that this code reads and writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** Names of our tables. Without {@link VERSION_TABLE} they belong to another program. */
export const TABLES: readonly string[] = ["pool", "account", "status", "claim", "presence", "pin"];

/** Records which steps were run. */
export const VERSION_TABLE = `${SCHEMA}.migration`;
