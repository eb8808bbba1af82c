import { setTimeout } from "node:timers/promises";
import { expect, it } from "vitest";
import type { Credential } from "../../../src/core/account.ts";
import { createCredentials } from "../../../src/core/credentials/credentials.ts";
import type { AccountStore } from "../../../src/core/ports.ts";
import { fingerprint, identityOf, tokenTimes } from "../../../src/platform/backend/jwt.ts";
import { openAccountStore } from "../../../src/platform/stores/account-store.ts";
import { openStateStore } from "../../../src/platform/stores/state-store.ts";
import {
	aClock,
	aMachine,
	anAccount,
	aPiAuth,
	aTokenOf,
	DAY_MS,
	HOUR_MS,
	idFor,
	NOW,
	settled,
	until,
} from "../../support/fakes.ts";
import { aWorkspaceId } from "../../support/ids.ts";
import { scratchForEach } from "../../support/scratch-for-each.ts";
import { isWide } from "../../support/tiers.ts";

const ID = idFor("user-work__acct-work", "acct-work");
const EXCHANGES = isWide ? 1000 : 20;
const PROCESSES = 3;
const LONGEST_ANSWER_MS = 500;

const scratch = scratchForEach();

/** Numbers that look like chance and are the same in every run. */
function aDice(seed: number): (sides: number) => number {
	let state = seed;
	return (sides) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return Math.floor((state / 2 ** 32) * sides);
	};
}

it(`sends no refresh token twice in ${EXCHANGES} exchanges while clocks jump and locks do not hold`, async () => {
	const dice = aDice(20261129);
	const machine = aMachine();
	const spent: string[] = [];
	/** Issued in this order, whatever the clocks say. */
	const issue = (at: number): Credential => ({
		access: aTokenOf("work", { issuedAt: NOW + at * 1000, expiresAt: NOW + 4000 * DAY_MS }),
		refresh: `refresh-${at}`,
		expiresAt: NOW + 4000 * DAY_MS,
	});
	let asked: Promise<unknown>[] = [];
	const others = (at: number) => asked.filter((_each, which) => which !== at);
	const jumps = [0, 61_000, -61_000, HOUR_MS, -HOUR_MS, DAY_MS, -DAY_MS];
	const processes = Array.from({ length: PROCESSES }, (_each, at) => {
		const clock = aClock();
		const jump = () => {
			clock.at = NOW + (jumps[dice(jumps.length)] ?? 0);
		};
		const stored = openAccountStore(scratch.path("codex-accounts.json"), () => undefined, clock.now);
		// As where each takes the other's lock for stale at once: the claim is all that is left.
		const accounts: AccountStore = { ...stored, whileRefreshing: (_id, work) => work() };
		const state = openStateStore(scratch.path("codex-state.json"), () => undefined, clock.now);
		const credentials = createCredentials({
			accounts,
			state,
			piAuth: aPiAuth(),
			processes: machine.process(at + 1),
			clock,
			pause: () => settled(),
			labelFor: () => "account",
			tokens: { fingerprint, identify: identityOf, issuedAt: (access) => tokenTimes(access).issuedAt },
			oauth: {
				refresh: async (refresh) => {
					spent.push(refresh);
					for (const other of processes) other.jump();
					// An answer that takes its time, in which the others come as well.
					const waits = dice(2) === 0 ? [] : others(at);
					await Promise.race([Promise.allSettled(waits), setTimeout(LONGEST_ANSWER_MS)]);
					return { kind: "granted", credential: issue(spent.length) };
				},
			},
		});
		return { accounts, credentials, jump, state };
	});
	const [first] = processes;
	await first?.accounts.put(
		anAccount("work", { id: ID, workspaceId: aWorkspaceId("acct-work"), credential: issue(0) }),
	);

	while (spent.length < EXCHANGES) {
		const refused = first?.accounts.list()[0]?.credential.access;
		const round = processes.map(async ({ credentials, jump }) => {
			for (let turns = dice(20); turns > 0; turns -= 1) await settled();
			jump();
			return credentials.accessToken(ID, { refused });
		});
		asked = round;
		const results = await Promise.all(round);
		expect(results.some(({ kind }) => kind === "ready")).toBe(true);
	}

	expect(spent.filter((token, at) => spent.indexOf(token) !== at)).toEqual([]);
	// An exchange may go on behind the answers: its process takes the note of it back a moment later.
	await until("the last note is taken back", () => first?.state.status(ID).exchange === undefined);
	await Promise.all(processes.flatMap(({ accounts, state }) => [accounts.flush(), state.flush()]));
}, 600_000);
