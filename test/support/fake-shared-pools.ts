import type { Account } from "../../src/core/account.ts";
import type { SharedPools } from "../../src/core/ports.ts";
import { type JoinCodes, PoolProblem, type SharedPoolStatus, type Unstored } from "../../src/core/shared-pool.ts";
import { NOW } from "./fakes.ts";

/** Codes as a person sees them; the last of them are those of a pool with new keys. */
export const CODES: JoinCodes = {
	keeper: `pi-pool-keeper-${"k".repeat(48)}`,
	runner: `pi-pool-runner-${"r".repeat(48)}`,
};
export const NEW_CODES: JoinCodes = {
	keeper: `pi-pool-keeper-${"n".repeat(48)}`,
	runner: `pi-pool-runner-${"m".repeat(48)}`,
};

/** A pool that this machine has joined, as a keeper unless told otherwise. */
export function aPoolStatus(overrides: Partial<SharedPoolStatus> = {}): SharedPoolStatus {
	return {
		name: "pi",
		role: "keeper",
		machine: "laptop",
		place: "db.example/pi",
		joinedBy: "settings",
		connection: { kind: "connected", lookedAt: NOW, listens: true },
		others: [],
		clockAheadMs: 0,
		journals: 0,
		...overrides,
	};
}

/** Shared pools for commands: what they are asked for is noted, and the accounts of the test change by it. */
export interface FakeSharedPools extends SharedPools {
	joined: SharedPoolStatus | undefined;
	/** What was asked for, in order. */
	readonly asked: (readonly [string, unknown])[];
	/** Keeps whatever asks the database. */
	problem: PoolProblem | undefined;
	/** What keeps it from being left. */
	unstored: Unstored | undefined;
}

/** What changes the accounts of a test. */
interface Rows {
	list(): readonly Account[];
	replace(rows: readonly Account[]): void;
}

/** Creates it over the accounts of a test; no pool is joined. */
export function createFakeSharedPools(rows: Rows): FakeSharedPools {
	const ask = (what: string, how: unknown) => {
		fake.asked.push([what, how]);
		if (fake.problem) throw fake.problem;
	};
	const share = (ids: readonly string[], shared: boolean) =>
		rows.replace(rows.list().map((row) => (ids.includes(row.id) ? { ...row, shared } : row)));
	const fake: FakeSharedPools = {
		joined: undefined,
		asked: [],
		problem: undefined,
		unstored: undefined,
		status: () => fake.joined,
		look: async () => {
			fake.asked.push(["look", undefined]);
			const { problem, joined } = fake;
			if (!problem || !joined) return joined;
			const { kind, message } = problem;
			return { ...joined, connection: { kind: "away", since: NOW, problem: kind, text: message } };
		},
		create: async (plan) => {
			ask("create", plan);
			fake.joined = aPoolStatus({ name: plan.name, machine: plan.machine ?? "laptop" });
			share(plan.accounts, true);
			return CODES;
		},
		join: async (code, machine) => {
			ask("join", [code, machine]);
			const role = code.startsWith("pi-pool-runner-") ? "runner" : "keeper";
			fake.joined = aPoolStatus({ role, machine: machine ?? "laptop" });
			return fake.joined;
		},
		add: async (accounts) => {
			ask("add", accounts);
			share(accounts, true);
		},
		leave: async (take, { isForced }) => {
			if (!fake.joined) throw new PoolProblem("no-pool", "This machine has joined no shared pool.");
			ask("leave", isForced ? { take, isForced } : take);
			if (fake.unstored && !isForced) return { kind: "waiting", unstored: fake.unstored, why: undefined };
			share(take, false);
			rows.replace(rows.list().filter(({ shared }) => !shared));
			fake.joined = undefined;
			return { kind: "left" };
		},
		codes: () => (fake.joined?.role === "keeper" ? CODES : undefined),
		rotate: async (url) => {
			ask("rotate", url);
			return NEW_CODES;
		},
	};
	return fake;
}
