import { beforeEach, describe, expect, it } from "vitest";
import type { AccountStore } from "../../../../src/core/ports.ts";
import { createPoolSwitch, type PoolSwitch } from "../../../../src/platform/shared-pool/pool-switch.ts";
import type { SharedPool } from "../../../../src/platform/shared-pool/shared-pool.ts";
import { anAccount, anAccountStore, aStateStore } from "../../../support/fakes.ts";

let opened: (string | undefined)[];
let rested: string[];
let changes: number;
let failures: unknown[];
let onOpen: () => Promise<void>;
let sharing: PoolSwitch;

/** A pool whose only account is called like it. */
function aPool(name: string): SharedPool {
	const unused = (): never => {
		throw new Error("not asked for here");
	};
	return {
		accounts: anAccountStore(anAccount(name)),
		state: aStateStore(),
		tokens: { renew: unused, isDue: unused },
		begin: unused,
		ready: unused,
		isAwaited: unused,
		status: unused,
		look: unused,
		codes: unused,
		get inside() {
			return unused();
		},
		flush: unused,
		rest: async () => {
			rested.push(name);
		},
	};
}

function open(code?: string): void {
	opened = [];
	rested = [];
	changes = 0;
	failures = [];
	onOpen = async () => undefined;
	sharing = createPoolSwitch({
		accounts: anAccountStore(anAccount("own")),
		state: aStateStore(),
		code,
		open: async (name) => {
			opened.push(name);
			await onOpen();
			return aPool(name ?? "environment");
		},
		onChanged: () => {
			changes += 1;
		},
		onFailure: (error) => failures.push(error),
	});
}
beforeEach(() => open());

const labels = ({ list }: AccountStore = sharing.accounts) => list().map(({ label }) => label);

describe("the stores of a process", () => {
	it("the stores are those of its files if no pool is named, and nothing is opened", () => {
		sharing.follow(undefined);
		expect(sharing.settling()).toBeUndefined();
		expect(opened).toEqual([]);
		expect(labels()).toEqual(["own"]);
	});

	it("the stores are those of the pool while the settings name one, else of the files, for their holders too", async () => {
		const { list } = sharing.accounts;
		sharing.follow("team");
		sharing.follow("team");
		expect(labels()).toEqual(["own"]);
		await sharing.settling();
		expect(list().map(({ label }) => label)).toEqual(["team"]);
		expect(changes).toBe(1);
		sharing.follow(undefined);
		await sharing.settling();
		expect(labels()).toEqual(["own"]);
		expect(opened).toEqual(["team"]);
		expect(rested).toEqual(["team"]);
	});

	it("the stores are those of the files if the pool cannot be opened", async () => {
		onOpen = () => Promise.reject(new Error("broken"));
		sharing.follow("team");
		await sharing.settling();
		expect(labels()).toEqual(["own"]);
		expect(failures).toHaveLength(1);
		sharing.follow("team");
		expect(opened).toEqual(["team"]);
	});

	it("the stores go from one pool to the next, and skip what was over before it was opened", async () => {
		sharing.follow("a");
		sharing.follow("b");
		sharing.follow("c");
		await sharing.settling();
		expect(opened).toEqual(["c"]);
		await sharing.reopen("c");
		expect(opened).toEqual(["c", "c"]);
		expect(rested).toEqual(["c"]);
		expect(labels()).toEqual(["c"]);
	});

	it("the stores are those of the environment whatever the settings name", async () => {
		open("code");
		sharing.follow("team");
		await sharing.settling();
		sharing.follow(undefined);
		await sharing.settling();
		expect(opened).toEqual([undefined]);
		expect(labels()).toEqual(["environment"]);
	});
});
