import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Account, Credential } from "../../../../src/core/account.ts";
import { type Credentials, createCredentials } from "../../../../src/core/credentials/credentials.ts";
import type { PoolEvent } from "../../../../src/core/events.ts";
import type { RefreshOutcome } from "../../../../src/core/ports.ts";
import { fingerprint, identityOf, tokenTimes } from "../../../../src/platform/backend/jwt.ts";
import {
	aClock,
	aMachine,
	anAccount,
	anAccountStore,
	aPiAuth,
	aStateStore,
	aToken,
	aTokenOf,
	DAY_MS,
	type FakeAccountStore,
	type FakeClock,
	type FakePiAuth,
	type FakeStateStore,
	HOUR_MS,
	idFor,
	MINUTE_MS,
	NOW,
	settled,
} from "../../../support/fakes.ts";
import { anId, aWorkspaceId } from "../../../support/ids.ts";

const ID = idFor("user-work__acct-work", "acct-work");

/** A credential that was issued then; its refresh token says when. */
const issued = (at: number, expiresAt = at + 10 * DAY_MS): Credential => ({
	access: aTokenOf("work", { issuedAt: at, expiresAt }),
	refresh: `refresh-${at - NOW}`,
	expiresAt,
});
const FRESH = issued(NOW);
/** Still good, but to be renewed: less than ten minutes are left. */
const DUE = issued(NOW - 10 * DAY_MS, NOW + 9 * MINUTE_MS);
const EXPIRED = issued(NOW - 10 * DAY_MS, NOW - 1);

let clock: FakeClock;
let accounts: FakeAccountStore;
let state: FakeStateStore;
let piAuth: FakePiAuth;
let credentials: Credentials;
/** Refresh tokens that were spent, in order. */
let spent: string[];
/** What the issuer answers next; a new credential unless told otherwise. */
let answer: (refresh: string) => RefreshOutcome | Promise<RefreshOutcome>;
let pauses: number[];
let failures: unknown[];
let told: PoolEvent[];
let onPause: () => Promise<void>;

const grant = (at = clock.now()): RefreshOutcome => ({ kind: "granted", credential: issued(at) });

let machine: ReturnType<typeof aMachine>;
let processes: number;

/** One more process over the same files; the first has the id 1. */
const anotherProcess = () =>
	createCredentials({
		processes: machine.process(++processes),
		accounts,
		state,
		piAuth,
		clock,
		oauth: {
			refresh: async (refresh) => {
				spent.push(refresh);
				return answer(refresh);
			},
		},
		tokens: { fingerprint, identify: identityOf, issuedAt: (access) => tokenTimes(access).issuedAt },
		pause: async (ms) => {
			pauses.push(ms);
			await onPause();
		},
		labelFor: (email) => email?.split("@")[0] ?? "account",
		tell: (event) => told.push(event),
		onFailure: (error) => failures.push(error),
	});

function open(credential: Credential, overrides: Partial<Account> = {}): void {
	clock = aClock();
	machine = aMachine();
	processes = 0;
	accounts = anAccountStore(
		anAccount("work", { id: ID, workspaceId: aWorkspaceId("acct-work"), credential, ...overrides }),
	);
	state = aStateStore();
	piAuth = aPiAuth();
	spent = [];
	pauses = [];
	failures = [];
	told = [];
	onPause = () => new Promise(() => undefined);
	answer = () => grant();
	credentials = anotherProcess();
}
const openLinked = (credential: Credential) => {
	open(credential, { linked: true, source: "pi" });
	piAuth.login = { kind: "oauth", credential, workspaceId: aWorkspaceId("acct-work") };
};
const row = () => accounts.rows[0] ?? anAccount("missing");
const ask = (options: Parameters<Credentials["accessToken"]>[1] = {}) => credentials.accessToken(ID, options);
const inFile = () => (piAuth.login.kind === "oauth" ? piAuth.login.credential : undefined);

beforeEach(() => open(FRESH));
afterEach(() => {
	vi.useRealTimers();
});

describe("an error on the way to a new token", () => {
	it.each(["ours", "pi's"])("is heard of, and the account is left for now: a sign-in of %s", async (whose) => {
		if (whose === "ours") open(EXPIRED);
		else openLinked(EXPIRED);
		const defect = new TypeError("secret");
		answer = () => Promise.reject(defect);
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect(failures).toEqual([defect]);
		expect(row().needsLogin).toBeUndefined();
		// It may have been sent: nothing is waited for any more, and yet it is not sent again at once.
		expect(state.status(ID).exchange).toEqual({
			tokenHash: fingerprint(EXPIRED.refresh),
			at: NOW,
			uptime: expect.anything(),
		});
	});
});

describe("a token that is good", () => {
	it("is given at once, without an exchange", async () => {
		expect(await ask()).toEqual({ kind: "ready", access: FRESH.access });
		expect(spent).toEqual([]);
		expect(credentials.currentToken(ID)).toBe(FRESH.access);
	});

	it("a token that is good is given without a pause", async () => {
		await ask();
		expect(pauses).toEqual([]);
	});

	it("a token that is good is what another process has stored meanwhile", async () => {
		accounts.rows = [{ ...row(), credential: issued(NOW + 1000) }];
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW + 1000).access });
	});

	it("a token that is good is none of an account that is gone", async () => {
		expect(await credentials.accessToken(anId("missing"), {})).toMatchObject({ kind: "unavailable" });
		expect(credentials.currentToken(anId("missing"))).toBeUndefined();
	});
});

describe("a token that is due", () => {
	beforeEach(() => open(DUE));

	it("is renewed ten minutes before its end, stored, and used", async () => {
		const next = issued(NOW);
		expect(await ask()).toEqual({ kind: "ready", access: next.access });
		expect([spent, row().credential]).toEqual([[DUE.refresh], next]);
		expect(state.status(ID).exchange).toBeUndefined();
		expect(await ask()).toEqual({ kind: "ready", access: next.access });
		expect(spent).toHaveLength(1);
	});

	it("a token that is due is not renewed a moment before that", async () => {
		clock.at = NOW - 2 * MINUTE_MS;
		expect(await ask()).toEqual({ kind: "ready", access: DUE.access });
		expect(spent).toEqual([]);
	});

	it("holds no request up: a slow exchange goes on behind it", async () => {
		let finish: ((outcome: RefreshOutcome) => void) | undefined;
		answer = () => new Promise((resolve) => (finish = resolve));
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		const asking = ask();
		await vi.advanceTimersByTimeAsync(1000);
		expect(await asking).toEqual({ kind: "ready", access: DUE.access });
		finish?.(grant());
		await credentials.idle();
		expect(row().credential).toEqual(issued(NOW));
	});

	it.each<[string, RefreshOutcome]>([
		["the issuer is down", { kind: "unavailable", reason: "503" }],
		["the exchange has no known outcome", { kind: "unknown", reason: "no answer" }],
	])("goes on serving while it is valid if %s, and no account is flagged", async (_name, outcome) => {
		answer = () => outcome;
		expect(await ask()).toEqual({ kind: "ready", access: DUE.access });
		expect(row()).toMatchObject({ needsLogin: undefined, enabled: true });
	});

	it("is never given to a request whose refusal of it no flight under way knows of, however many there are", async () => {
		let finish: ((outcome: RefreshOutcome) => void) | undefined;
		answer = () => new Promise((resolve) => (finish = resolve));
		const first = ask();
		const refused = ask({ refused: DUE.access });
		await settled();
		finish?.({ kind: "unavailable", reason: "503" });
		const others: Promise<unknown>[] = [first];
		for (let ticks = 0; ticks < 60; ticks += 1) {
			others.push(ask());
			await Promise.resolve();
		}
		expect(await refused).toMatchObject({ kind: "unavailable" });
		await Promise.all(others);
		expect(spent).toHaveLength(1);
	});

	it("serves on if the lock is busy or the disk is full, and is not spent", async () => {
		accounts.lockRefusal = "busy";
		expect(await ask()).toEqual({ kind: "ready", access: DUE.access });
		accounts.lockRefusal = undefined;
		accounts.isFull = true;
		expect(await ask()).toEqual({ kind: "ready", access: DUE.access });
		expect(spent).toEqual([]);
	});
});

describe("a token that has expired", () => {
	beforeEach(() => open(EXPIRED));

	it("is exchanged once by many requests of many processes at once", async () => {
		const processes = [credentials, anotherProcess(), anotherProcess()];
		const asked = processes.flatMap((each) => [each.accessToken(ID, {}), each.accessToken(ID, {})]);
		const tokens = await Promise.all(asked);
		expect(new Set(tokens.map((token) => (token.kind === "ready" ? token.access : token.kind)))).toEqual(
			new Set([issued(NOW).access]),
		);
		expect(spent).toEqual([EXPIRED.refresh]);
	});

	it("is asked for at its lock once by many requests of one process", async () => {
		const { whileRefreshing } = accounts;
		let asked = 0;
		accounts.whileRefreshing = (...given) => {
			asked += 1;
			return whileRefreshing(...given);
		};
		await Promise.all([ask(), ask(), ask()]);
		expect(asked).toBe(1);
	});

	it("is left to itself by a request that has somewhere else to go, and stored when it comes", async () => {
		let finish: ((outcome: RefreshOutcome) => void) | undefined;
		answer = () => new Promise((resolve) => (finish = resolve));
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		const [impatient, patient] = [ask({ patienceMs: 3000 }), ask()];
		await vi.advanceTimersByTimeAsync(3000);
		expect(await impatient).toMatchObject({ kind: "unavailable" });
		expect(row().needsLogin).toBeUndefined();
		finish?.(grant());
		expect(await patient).toEqual({ kind: "ready", access: issued(NOW).access });
		expect([row().credential, spent]).toEqual([issued(NOW), [EXPIRED.refresh]]);
	});

	it("a token that has expired is not offered as the current token", () => {
		expect(credentials.currentToken(ID)).toBeUndefined();
	});

	it("is claimed before it is spent, so that no process spends it twice", async () => {
		let noted: unknown;
		answer = () => {
			noted = state.status(ID).exchange;
			return grant();
		};
		await ask();
		expect(noted).toMatchObject({ tokenHash: fingerprint(EXPIRED.refresh), at: NOW });
		expect(JSON.stringify([...state.statusById.values()])).not.toContain(EXPIRED.refresh);
	});

	it("is not spent a second time within a minute if no answer came, by no process", async () => {
		answer = () => ({ kind: "unknown", reason: "no answer" });
		expect(await ask()).toEqual({ kind: "unavailable", reason: "no answer", retryAt: NOW + MINUTE_MS });
		clock.at += MINUTE_MS - 1;
		answer = () => grant();
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({
			kind: "unavailable",
			retryAt: NOW + MINUTE_MS,
		});
		expect(spent).toHaveLength(1);
		clock.at += 1;
		expect(await ask()).toMatchObject({ kind: "ready" });
		expect(spent).toHaveLength(2);
	});

	it("is replaced by what another process was given meanwhile", async () => {
		answer = () => ({ kind: "unknown", reason: "no answer" });
		await ask();
		accounts.rows = [{ ...row(), credential: issued(NOW + 1000) }];
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW + 1000).access });
	});

	it("is tried at growing intervals while the issuer is down, and no account is flagged", async () => {
		answer = () => ({ kind: "unavailable", reason: "503" });
		const lengths: number[] = [];
		for (let time = 0; time < 10; time += 1) {
			const result = await ask();
			const retryAt = result.kind === "unavailable" ? result.retryAt : 0;
			lengths.push((retryAt - clock.at) / 1000);
			expect(await ask()).toMatchObject({ kind: "unavailable", retryAt });
			clock.at = retryAt;
		}
		expect(lengths).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
		expect(spent).toHaveLength(10);
		expect(row().needsLogin).toBeUndefined();
		answer = () => grant();
		expect(await ask()).toMatchObject({ kind: "ready" });
	});

	it.each([DAY_MS, 70_000, 1])("is tried again at once after a clock that was set back by %d ms", async (backMs) => {
		answer = () => ({ kind: "unavailable", reason: "503" });
		await ask();
		clock.at -= backMs;
		answer = () => grant();
		accounts.rows = [{ ...row(), credential: { ...EXPIRED, expiresAt: clock.at - 1 } }];
		expect(await ask()).toMatchObject({ kind: "ready" });
	});

	it("a token that has expired is not spent if the result could not be stored", async () => {
		accounts.isFull = true;
		expect(await ask()).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("ENOSPC") });
		expect(spent).toEqual([]);
	});

	it("says no more than that it was not renewed if nothing was sent", async () => {
		accounts.lockRefusal = Object.assign(new Error("no"), { code: "EACCES" });
		expect(await ask()).toMatchObject({ reason: expect.stringMatching(/not be renewed \(EACCES\)$/) });
		expect(spent).toEqual([]);
	});

	it("is stored after all if the disk is full for a moment only", async () => {
		answer = () => {
			accounts.isFull = true;
			return grant();
		};
		onPause = async () => {
			accounts.isFull = false;
		};
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW).access });
		expect(row().credential).toEqual(issued(NOW));
		expect(state.status(ID).exchange).toBeUndefined();
	});

	it("is used although it can be stored nowhere, and every process knows that the old one is spent", async () => {
		answer = () => {
			accounts.isFull = true;
			return grant();
		};
		onPause = async () => undefined;
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW).access });
		expect(state.status(ID).exchange).toMatchObject({ tokenHash: fingerprint(EXPIRED.refresh) });
	});

	it("gives way to what another process has stored, though others still hold the lock, and is not spent", async () => {
		let endTurns: (busy: "busy") => void = () => undefined;
		const others = new Promise<"busy">((resolve) => {
			endTurns = resolve;
		});
		Object.assign(accounts, { whileRefreshing: () => others });
		const waiting = ask();
		await accounts.patch(ID, { credential: issued(NOW) });
		expect(await waiting).toEqual({ kind: "ready", access: issued(NOW).access });
		expect(spent).toEqual([]);
		endTurns("busy");
		await credentials.idle();
	});

	it("is still waited for if another process has signed out with it", async () => {
		let endTurns: (busy: "busy") => void = () => undefined;
		const others = new Promise<"busy">((resolve) => {
			endTurns = resolve;
		});
		Object.assign(accounts, { whileRefreshing: () => others });
		const waiting = ask();
		await accounts.patch(ID, { credential: issued(NOW), needsLogin: { reason: "revoked", at: NOW } });
		setTimeout(() => endTurns("busy"), 250);
		expect(await waiting).toMatchObject({ kind: "unavailable" });
	});

	it("is not waited for if another process is slow to renew it, and no account is flagged", async () => {
		accounts.lockRefusal = "busy";
		const result = await ask();
		expect(result).toMatchObject({ kind: "unavailable" });
		expect(result.kind === "unavailable" && result.retryAt - NOW).toBeLessThan(5000);
		accounts.lockRefusal = undefined;
		expect(await ask()).toMatchObject({ kind: "ready" });
	});
});

describe("a sign-in that moves elsewhere while its lock is waited for", () => {
	it.each<[string, Partial<Account>]>([
		["pi", { linked: true }],
		["the pi of another directory", { linkedElsewhere: true }],
		["a pool of several machines", { shared: true }],
	])("is left to %s, and its token is not spent", async (_where, moved) => {
		open(EXPIRED);
		const { whileRefreshing } = accounts;
		accounts.whileRefreshing = (id, work) =>
			whileRefreshing(id, () => {
				accounts.rows = [{ ...row(), ...moved }];
				return work();
			});
		expect(await ask()).toMatchObject({ kind: "unavailable", reason: "its sign-in has moved" });
		expect(spent).toEqual([]);
		expect(row()).toMatchObject({ credential: EXPIRED, needsLogin: undefined });
	});
});

describe("a sign-in that is over", () => {
	beforeEach(() => open(EXPIRED));

	it("a sign-in that is over is flagged with its reason", async () => {
		answer = () => ({ kind: "refused", code: "refresh_token_reused", closed: false });
		expect(await ask()).toMatchObject({ kind: "signed-out", reason: "refresh_token_reused", closed: false });
		expect(row()).toMatchObject({ needsLogin: { reason: "refresh_token_reused", at: NOW }, enabled: true });
		expect(state.status(ID).exchange).toBeUndefined();
	});

	it("an account that OpenAI has closed is switched off", async () => {
		answer = () => ({ kind: "refused", code: "account_deactivated", closed: true });
		expect(await ask()).toMatchObject({ kind: "signed-out", closed: true });
		expect(row()).toMatchObject({ enabled: false, disabledReason: "account_deactivated", needsLogin: undefined });
	});

	it("a sign-in that is over is not reported if another process has stored a newer token meanwhile", async () => {
		answer = () => {
			accounts.rows = [{ ...row(), credential: issued(NOW + 1000) }];
			return { kind: "refused", code: "refresh_token_reused", closed: false };
		};
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW + 1000).access });
		expect(row().needsLogin).toBeUndefined();
	});

	it("a refused token leaves a sign-in alone that was stored meanwhile, even if that has run out by now", async () => {
		open(EXPIRED);
		const newer = issued(NOW - 20 * MINUTE_MS, NOW - MINUTE_MS);
		answer = async () => {
			accounts.rows = [{ ...row(), credential: newer }];
			return { kind: "refused", code: "refresh_token_expired", closed: false };
		};
		await ask();
		expect(row()).toMatchObject({ credential: newer, needsLogin: undefined });
	});

	it("a sign-in that is over is not asked for once more with the same refresh token", async () => {
		open(EXPIRED, { needsLogin: { reason: "revoked", at: NOW } });
		expect((await ask()).kind).toBe("unavailable");
		expect(spent).toEqual([]);
		expect(row().needsLogin).toMatchObject({ reason: "revoked" });
	});
});

describe("a claim on a refresh token", () => {
	beforeEach(() => open(EXPIRED));

	/** Another process, of the id 2, has sent the token and hears nothing. */
	async function sendAndWait(): Promise<void> {
		answer = () => new Promise(() => undefined);
		void anotherProcess().accessToken(ID, {});
		await settled();
		expect(spent).toHaveLength(1);
		// Its lock was taken for stale.
		accounts.whileRefreshing = (_id, work) => work();
		answer = () => grant();
	}

	it.each([MINUTE_MS, HOUR_MS, 400 * DAY_MS, -HOUR_MS, -DAY_MS])(
		"holds while its process runs, with a clock that jumps by %d ms",
		async (jumpMs) => {
			await sendAndWait();
			clock.at += jumpMs;
			accounts.rows = [{ ...row(), credential: { ...EXPIRED, expiresAt: clock.at - 1 } }];
			const result = await ask();
			expect(result).toMatchObject({ kind: "unavailable" });
			// It is asked for again, and neither at once nor in a year.
			const waitMs = result.kind === "unavailable" ? result.retryAt - clock.at : 0;
			expect([waitMs > 0, waitMs <= MINUTE_MS, spent.length]).toEqual([true, true, 1]);
		},
	);

	it("holds for a minute after the end of its process: the answer may be under way", async () => {
		await sendAndWait();
		machine.gone.add(2);
		clock.at += MINUTE_MS - 1;
		expect(await ask()).toMatchObject({ kind: "unavailable", retryAt: NOW + MINUTE_MS });
		clock.at += 1;
		expect(await ask()).toMatchObject({ kind: "ready" });
		expect(spent).toHaveLength(2);
	});

	it.each([HOUR_MS, 70_000, -70_000, -HOUR_MS])(
		"is asked for again a minute after its exchange began, if that process had a clock that is wrong by %d ms",
		async (wrongMs) => {
			machine.ranMs = 500_000;
			machine.gone.add(2);
			const uptime = { machine: "here", ms: machine.ranMs - 40_000 };
			const holder = { pid: 2, machine: "here" };
			const exchange = { tokenHash: fingerprint(EXPIRED.refresh), at: NOW - 40_000 + wrongMs, holder, uptime };
			await state.update(ID, (status) => ({ ...status, exchange }));
			expect(await ask()).toMatchObject({ kind: "unavailable", retryAt: NOW + 20_000 });
			expect(spent).toEqual([]);
		},
	);

	it.each([
		["a process that is gone", { pid: 2, machine: "here" }],
		["another machine", { pid: 1, machine: "elsewhere" }],
	])("a claim on a refresh token of %s does not block for ever if it is dated ahead", async (_name, holder) => {
		machine.gone.add(2);
		const tokenHash = fingerprint(EXPIRED.refresh);
		await state.update(ID, (status) => ({ ...status, exchange: { tokenHash, at: NOW + HOUR_MS, holder } }));
		expect(await ask()).toMatchObject({ kind: "ready" });
	});

	it("a claim on a refresh token of a version that noted no process is believed for a minute", async () => {
		const tokenHash = fingerprint(EXPIRED.refresh);
		await state.update(ID, (status) => ({ ...status, exchange: { tokenHash, at: NOW - MINUTE_MS + 1 } }));
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		clock.at += 1;
		expect(await ask()).toMatchObject({ kind: "ready" });
	});

	it("is kept if the new token came and could not be stored: its process alone has that", async () => {
		answer = () => {
			accounts.isFull = true;
			return grant();
		};
		onPause = async () => undefined;
		await ask();
		expect(state.status(ID).exchange).toMatchObject({ holder: { pid: 1 } });
	});

	it("names no process any more once it is certain that no answer comes", async () => {
		answer = () => ({ kind: "unknown", reason: "no answer" });
		await ask();
		expect(state.status(ID).exchange).toMatchObject({ tokenHash: fingerprint(EXPIRED.refresh), at: NOW });
		expect(state.status(ID).exchange).not.toHaveProperty("holder");
	});

	it("one claim is granted to two sessions that ask in the same millisecond", async () => {
		accounts.whileRefreshing = (_id, work) => work();
		processes = 0;
		const twin = anotherProcess();
		await Promise.all([ask(), twin.accessToken(ID, {})]);
		expect(spent).toEqual([EXPIRED.refresh]);
	});

	it("is kept if what came for pi's own login could be stored neither in its file nor in ours", async () => {
		openLinked(EXPIRED);
		answer = () => {
			accounts.isFull = true;
			piAuth.isFull = true;
			return grant();
		};
		onPause = async () => undefined;
		await ask();
		expect(state.status(ID).exchange).toMatchObject({ holder: { pid: 1 } });
	});

	it("keeps another token of its account from being sent meanwhile, so that the note of it stays", async () => {
		await sendAndWait();
		const former = issued(NOW - 11 * DAY_MS, NOW - DAY_MS);
		accounts.rows = [{ ...row(), credential: former }];
		expect(await ask()).toMatchObject({ kind: "unavailable", retryAt: NOW + 500 });
		expect([spent, state.status(ID).exchange?.tokenHash]).toEqual([[EXPIRED.refresh], fingerprint(EXPIRED.refresh)]);
	});

	it.each([
		["its process is gone", () => machine.gone.add(2)],
		["a minute has passed", () => (clock.at += MINUTE_MS)],
	])("lets a new sign-in of its account be renewed once %s", async (_name, happen) => {
		await sendAndWait();
		happen();
		const next = { ...issued(NOW - DAY_MS, NOW - 1), refresh: "signed in anew" };
		accounts.rows = [{ ...row(), credential: next }];
		expect(await ask()).toMatchObject({ kind: "ready" });
		expect(spent).toEqual([EXPIRED.refresh, "signed in anew"]);
	});

	it("leaves a token known as spent if another process has written over it", async () => {
		const theirs = { tokenHash: "another", at: NOW, holder: { pid: 9, machine: "here" } };
		answer = async () => {
			await state.update(ID, (status) => ({ ...status, exchange: theirs }));
			return grant();
		};
		await ask();
		expect(state.status(ID)).toMatchObject({ exchange: theirs, spent: [{ tokenHash: fingerprint(EXPIRED.refresh) }] });
	});

	it("holds for a minute from the moment at which its exchange ended without an answer", async () => {
		answer = () => {
			clock.at += MINUTE_MS / 2;
			return { kind: "unknown", reason: "no answer in 30 s" };
		};
		await ask();
		answer = () => grant();
		clock.at += MINUTE_MS - 1;
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "unavailable" });
		clock.at += 1;
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "ready" });
	});

	it("a claim that another process has written over is not acted on", async () => {
		const { updateIf } = state;
		const theirs = { tokenHash: fingerprint(EXPIRED.refresh), at: NOW, holder: { pid: 9, machine: "here" } };
		state.updateIf = async (...args) => {
			const isLetIn = await updateIf(...args);
			await state.update(ID, (status) => ({ ...status, exchange: theirs }));
			return isLetIn;
		};
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect([spent, state.status(ID).exchange]).toEqual([[], theirs]);
	});
});

describe("what came for a refresh token while its exchange was under way", () => {
	/** The answer comes once this has happened. */
	const meanwhile = (happen: () => unknown, next = issued(NOW)) => {
		answer = async () => {
			await happen();
			return { kind: "granted", credential: next };
		};
	};

	it("is put back with its account, which was taken out meanwhile", async () => {
		open(EXPIRED);
		meanwhile(() => accounts.remove(ID));
		await ask();
		await accounts.restore(ID);
		expect(row().credential).toEqual(issued(NOW));
	});

	it("is kept in a backup of its own if the file was lost, and no other copy has its former token", async () => {
		open(EXPIRED);
		meanwhile(() => {
			accounts.rows = [];
		});
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW).access });
		await accounts.restore(ID);
		expect(row().credential).toEqual(issued(NOW));
		expect(state.status(ID).exchange).toBeUndefined();
	});

	it("is in no backup if pi's file has it, and our file was lost meanwhile: two places would spend it", async () => {
		openLinked(EXPIRED);
		meanwhile(() => {
			accounts.rows = [];
		});
		await ask();
		await accounts.restore(ID);
		expect([inFile(), accounts.rows]).toEqual([issued(NOW), []]);
	});

	it.each(["patch", "renewBackup"] as const)(
		"is stored if its account is put back with the spent token beside a write: %s",
		async (write) => {
			open(EXPIRED);
			meanwhile(() => accounts.remove(ID));
			onPause = async () => undefined;
			const { patch, renewBackup } = accounts;
			if (write === "patch") {
				accounts.patch = async (...given) => {
					await patch(...given);
					await accounts.restore(ID);
				};
			} else {
				accounts.renewBackup = async (...given) => {
					await accounts.restore(ID);
					return renewBackup(...given);
				};
			}
			await ask();
			expect(row().credential).toEqual(issued(NOW));
			expect(state.status(ID).exchange).toBeUndefined();
		},
	);

	it("keeps its claim if its account comes back with the spent token each time", async () => {
		open(EXPIRED);
		meanwhile(() => undefined);
		onPause = async () => undefined;
		accounts.patch = async () => undefined;
		await ask();
		expect(state.status(ID).exchange).toMatchObject({ holder: { pid: 1 } });
	});

	it("is stored if its account was taken out and put back meanwhile, or renamed and switched off", async () => {
		open(EXPIRED);
		meanwhile(async () => {
			await accounts.remove(ID);
			await accounts.restore(ID);
			await accounts.edit(ID, { label: "other", enabled: false });
		});
		await ask();
		expect(row()).toMatchObject({ credential: issued(NOW), label: "other", enabled: false });
	});

	it("is stored if a copy from before the former exchange was put back meanwhile", async () => {
		open(issued(NOW - 20 * DAY_MS, NOW - 10 * DAY_MS));
		const first = row().credential;
		answer = () => ({ kind: "granted", credential: EXPIRED });
		await ask();
		meanwhile(() => {
			accounts.rows = [{ ...row(), credential: first }];
		});
		await anotherProcess().accessToken(ID, {});
		expect([spent, row().credential]).toEqual([[first.refresh, EXPIRED.refresh], issued(NOW)]);
	});

	it("gives way to a sign-in of its account that was stored meanwhile", async () => {
		open(EXPIRED);
		// By a clock that is behind.
		const anew = { ...issued(NOW - 1000), refresh: "signed in anew" };
		meanwhile(() => accounts.patch(ID, { credential: anew }));
		await ask();
		expect(row().credential).toEqual(anew);
	});

	it("is written to pi's file even when its account was removed from our file meanwhile", async () => {
		openLinked(EXPIRED);
		meanwhile(() => accounts.remove(ID));
		await ask();
		expect(inFile()).toEqual(issued(NOW));
	});

	it("stays ours if pi has signed in as another account meanwhile", async () => {
		openLinked(EXPIRED);
		meanwhile(async () => {
			piAuth.login = {
				kind: "oauth",
				credential: { ...FRESH, access: aTokenOf("home") },
				workspaceId: aWorkspaceId("acct-home"),
			};
			await accounts.patch(ID, { linked: false });
		});
		await ask();
		expect(row()).toMatchObject({ linked: false, credential: issued(NOW) });
	});

	it("is put back with its account if pi has signed out meanwhile", async () => {
		openLinked(EXPIRED);
		meanwhile(async () => {
			piAuth.login = { kind: "none" };
			await accounts.remove(ID);
		});
		await ask();
		await accounts.restore(ID);
		expect(row().credential).toEqual(issued(NOW));
	});

	it.each([0, 1000])(
		"is written to pi's file later if that could not be, although both were issued within %d ms",
		async (apartMs) => {
			openLinked(EXPIRED);
			const next = { ...issued(NOW - 10 * DAY_MS + apartMs, NOW + DAY_MS), refresh: "next" };
			piAuth.isFull = true;
			meanwhile(() => undefined, next);
			await ask();
			piAuth.isFull = false;
			expect(await anotherProcess().accessToken(ID, {})).toEqual({ kind: "ready", access: next.access });
			expect([spent, inFile()]).toEqual([[EXPIRED.refresh], next]);
		},
	);

	it("is not written over pi's login once it is over itself", async () => {
		openLinked(DUE);
		const needsLogin = { reason: "token_revoked", at: NOW };
		accounts.rows = [{ ...row(), credential: { ...issued(NOW, NOW + DAY_MS), refresh: "of our own" }, needsLogin }];
		await ask();
		expect(inFile()).toEqual(DUE);
	});

	it("is not given up for pi's file, which has an older token of the same second that still lasts", async () => {
		openLinked(DUE);
		const next = { ...DUE, access: aTokenOf("work", { issuedAt: NOW - 10 * DAY_MS, expiresAt: NOW }), refresh: "next" };
		piAuth.isFull = true;
		meanwhile(() => undefined, next);
		await ask();
		answer = () => grant();
		await ask({ refused: next.access });
		expect([spent, row().credential]).toEqual([[DUE.refresh, "next"], issued(NOW)]);
	});
});

describe("a process that was stopped before it spent anything", () => {
	it("takes what another one has stored since the claim was written, and gives the claim back", async () => {
		open(EXPIRED);
		const renewed = issued(NOW + 1);
		const { updateIf } = state;
		state.updateIf = async (...args) => {
			state.updateIf = updateIf;
			const isLetIn = await updateIf(...args);
			// Stopped right here: its lock was taken for stale, and the token renewed by another process.
			await accounts.patch(ID, { credential: renewed });
			return isLetIn;
		};
		expect(await ask()).toEqual({ kind: "ready", access: renewed.access });
		expect([spent, state.status(ID).exchange]).toEqual([[], undefined]);
	});

	it("takes what another one has renewed meanwhile, and sends nothing", async () => {
		open(EXPIRED);
		const renewed = issued(NOW + 1);
		const { assertWritable } = accounts;
		// Stopped while it looked at the disk: its lock was taken for stale, and the token renewed by another process.
		accounts.assertWritable = async () => {
			await assertWritable();
			await accounts.patch(ID, { credential: renewed });
		};
		expect(await ask()).toEqual({ kind: "ready", access: renewed.access });
		expect(spent).toEqual([]);
	});
});

describe("a token that the backend has refused", () => {
	it("is exchanged although it would be good for long", async () => {
		clock.at += HOUR_MS;
		expect(await ask({ refused: FRESH.access })).toEqual({ kind: "ready", access: issued(clock.at).access });
		expect(spent).toEqual([FRESH.refresh]);
	});

	it("is exchanged once by many requests that were refused with it", async () => {
		clock.at += HOUR_MS;
		const asked = [1, 2, 3].map(() => ask({ refused: FRESH.access }));
		const all = await Promise.all([...asked, anotherProcess().accessToken(ID, { refused: FRESH.access })]);
		expect(new Set(all.map((token) => token.kind))).toEqual(new Set(["ready"]));
		expect(spent).toHaveLength(1);
	});

	it("is not given again to a request that joins one which did not know", async () => {
		clock.at += HOUR_MS;
		const [ignorant, refused] = await Promise.all([ask(), ask({ refused: FRESH.access })]);
		expect(ignorant).toEqual({ kind: "ready", access: FRESH.access });
		expect(refused).toEqual({ kind: "ready", access: issued(clock.at).access });
		expect(spent).toHaveLength(1);
	});

	it("is replaced by a newer one that is stored already", async () => {
		const newer = issued(NOW + 1000);
		accounts.rows = [{ ...row(), credential: newer }];
		expect(await ask({ refused: FRESH.access })).toEqual({ kind: "ready", access: newer.access });
		expect(spent).toEqual([]);
	});

	it("serves no request while there is no other token", async () => {
		answer = () => ({ kind: "unavailable", reason: "503" });
		expect(await ask({ refused: FRESH.access })).toMatchObject({ kind: "unavailable" });
		expect(row().needsLogin).toBeUndefined();
	});
});

it("an abort ends the wait and not the exchange, whose token is stored", async () => {
	open(EXPIRED);
	let finish: ((outcome: RefreshOutcome) => void) | undefined;
	answer = () => new Promise((resolve) => (finish = resolve));
	const abort = new AbortController();
	const waiting = ask({ signal: abort.signal });
	const other = ask();
	await settled();
	abort.abort(new Error("the person left"));
	await expect(waiting).rejects.toThrow("the person left");
	let isIdle = false;
	const idle = credentials.idle().then(() => {
		isIdle = true;
	});
	await settled();
	expect(isIdle).toBe(false);
	finish?.(grant());
	await idle;
	expect(row().credential).toEqual(issued(NOW));
	expect(await other).toEqual({ kind: "ready", access: issued(NOW).access });
	expect(spent).toHaveLength(1);
});

describe("pi's own login", () => {
	it("is renewed under pi's lock and written to both files", async () => {
		openLinked(EXPIRED);
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW).access });
		expect([inFile(), row().credential, row().linked]).toEqual([issued(NOW), issued(NOW), true]);
		expect(spent).toEqual([EXPIRED.refresh]);
	});

	it("is taken from the file when pi or another of our processes has renewed it", async () => {
		openLinked(EXPIRED);
		const theirs = issued(NOW + 1000);
		piAuth.beforeLock = () => {
			piAuth.login = { kind: "oauth", credential: theirs, workspaceId: aWorkspaceId("acct-work") };
		};
		expect(await ask()).toEqual({ kind: "ready", access: theirs.access });
		expect([spent, row().credential]).toEqual([[], theirs]);
	});

	it("is exchanged once by many processes at once", async () => {
		openLinked(EXPIRED);
		const processes = [credentials, anotherProcess(), anotherProcess()];
		const all = await Promise.all(processes.map((each) => each.accessToken(ID, {})));
		expect(new Set(all.map((token) => (token.kind === "ready" ? token.access : token.kind))).size).toBe(1);
		expect(spent).toEqual([EXPIRED.refresh]);
	});

	it("is read again when the issuer refuses it: no account is flagged if pi has a newer token by then", async () => {
		openLinked(EXPIRED);
		const theirs = issued(NOW + 1000);
		answer = () => {
			piAuth.login = { kind: "oauth", credential: theirs, workspaceId: aWorkspaceId("acct-work") };
			return { kind: "refused", code: "refresh_token_reused", closed: false };
		};
		expect(await ask()).toEqual({ kind: "ready", access: theirs.access });
		expect(row()).toMatchObject({ needsLogin: undefined, credential: theirs });
	});

	it("pi's own login that the issuer refuses for good is flagged", async () => {
		openLinked(EXPIRED);
		answer = () => ({ kind: "refused", code: "refresh_token_expired", closed: false });
		expect(await ask()).toMatchObject({ kind: "signed-out" });
		expect(row()).toMatchObject({ needsLogin: { reason: "refresh_token_expired" } });
		expect(inFile()).toEqual(EXPIRED);
	});

	it.each<[string, FakePiAuth["login"]]>([
		["signed out", { kind: "none" }],
		["given an API key", { kind: "foreign" }],
		["torn", { kind: "unreadable" }],
		[
			"signed in as another account",
			{ kind: "oauth", credential: { ...FRESH, access: aTokenOf("other") }, workspaceId: undefined },
		],
	])("is left alone if pi is %s by now", async (_name, login) => {
		openLinked(EXPIRED);
		piAuth.beforeLock = () => {
			piAuth.login = login;
		};
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect([spent, row().needsLogin]).toEqual([[], undefined]);
	});

	it("is spent from our copy if that is the newer one", async () => {
		openLinked(EXPIRED);
		const older = issued(NOW - 20 * DAY_MS, NOW - DAY_MS);
		piAuth.login = { kind: "oauth", credential: older, workspaceId: aWorkspaceId("acct-work") };
		piAuth.isFull = true;
		answer = () => {
			piAuth.isFull = false;
			return grant();
		};
		expect(await ask()).toMatchObject({ kind: "ready" });
		expect([spent, inFile()]).toEqual([[EXPIRED.refresh], issued(NOW)]);
	});

	it("is used if its file cannot be written, and written there at the next request", async () => {
		openLinked(EXPIRED);
		piAuth.isFull = true;
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW).access });
		expect([inFile(), row().credential]).toEqual([EXPIRED, issued(NOW)]);
		piAuth.isFull = false;
		expect(await ask()).toEqual({ kind: "ready", access: issued(NOW).access });
		expect([inFile(), spent]).toEqual([issued(NOW), [EXPIRED.refresh]]);
	});

	it("serves on while it is valid if its lock is busy, and fails no request", async () => {
		openLinked(DUE);
		piAuth.lockRefusal = "busy";
		expect(await ask()).toEqual({ kind: "ready", access: DUE.access });
		openLinked(EXPIRED);
		piAuth.lockRefusal = "busy";
		expect(await ask()).toMatchObject({ kind: "unavailable", retryAt: NOW + 500 });
		expect(spent).toEqual([]);
	});

	it("pi's own login is not touched while it is good", async () => {
		openLinked(FRESH);
		await ask();
		expect(inFile()).toBe(FRESH);
	});
});

describe("a refusal for a reason that is not known", () => {
	const refusedSo: RefreshOutcome = {
		kind: "unavailable",
		reason: "the sign-in service answered 400",
		mayBeFinal: true,
	};
	beforeEach(() => {
		open(EXPIRED);
		answer = () => refusedSo;
	});

	it("is waited out once, and ends the sign-in when it comes again a minute later", async () => {
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect(row().needsLogin).toBeUndefined();
		clock.at += MINUTE_MS;
		expect(await ask()).toMatchObject({ kind: "signed-out", reason: "renewal_refused", closed: false });
		expect(row().needsLogin).toEqual({ reason: "renewal_refused", at: clock.at });
		expect(row().credential).toEqual(EXPIRED);
		expect(spent).toHaveLength(2);
	});

	it("ends nothing when it comes again within the minute", async () => {
		await ask();
		for (const seconds of [10, 30, 59]) {
			clock.at = NOW + seconds * 1000;
			expect(await ask()).toMatchObject({ kind: "unavailable" });
		}
		expect(row().needsLogin).toBeUndefined();
	});

	it("a refusal for a reason that is not known is counted across processes", async () => {
		await ask();
		clock.at += MINUTE_MS;
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "signed-out" });
	});

	it("is forgotten with the token that it was of, and when that is renewed after all", async () => {
		await ask();
		clock.at += MINUTE_MS;
		accounts.rows = [{ ...row(), credential: { ...EXPIRED, refresh: "another" } }];
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		clock.at += MINUTE_MS;
		answer = () => ({ kind: "granted", credential: { ...EXPIRED, refresh: "another" } });
		await ask();
		answer = () => refusedSo;
		clock.at += MINUTE_MS;
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect(row().needsLogin).toBeUndefined();
	});

	it("never comes of trouble that passes, however often", async () => {
		answer = () => ({ kind: "unavailable", reason: "the sign-in service answered 503" });
		for (let times = 0; times < 5; times += 1) {
			expect(await ask()).toMatchObject({ kind: "unavailable" });
			clock.at += 10 * MINUTE_MS;
		}
		expect(row().needsLogin).toBeUndefined();
	});

	it("a refusal noted by a clock that was ahead is counted anew", async () => {
		clock.at = NOW + DAY_MS;
		await ask();
		clock.at = NOW + MINUTE_MS;
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "unavailable" });
		clock.at += MINUTE_MS;
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "signed-out" });
	});
});

describe("a refresh token that was refused for good", () => {
	const refusal: RefreshOutcome = { kind: "refused", code: "refresh_token_expired", closed: false };
	const takeFlagBack = () => {
		accounts.rows = [{ ...row(), needsLogin: undefined }];
	};
	const kinds = [
		["ours", () => open(EXPIRED)],
		["pi's", () => openLinked(EXPIRED)],
	] as const;

	it.each(kinds)("is not sent again, and flagged again, if the flag was taken back: %s", async (_, begin) => {
		begin();
		answer = () => refusal;
		await ask();
		for (const process of [credentials, anotherProcess(), anotherProcess()]) {
			takeFlagBack();
			clock.at += DAY_MS;
			expect(await process.accessToken(ID, {})).toMatchObject({
				kind: "signed-out",
				reason: "refresh_token_expired",
				closed: false,
			});
			expect(row().needsLogin).toEqual({ reason: "refresh_token_expired", at: clock.at });
		}
		expect(spent).toEqual([EXPIRED.refresh]);
	});

	it.each(kinds)("is not sent again after its account was taken out and put back: %s", async (_, begin) => {
		begin();
		answer = () => refusal;
		await ask();
		await state.forget(ID);
		takeFlagBack();
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "signed-out" });
		expect(spent).toHaveLength(1);
	});

	it("is followed by a new sign-in as any other", async () => {
		open(EXPIRED);
		answer = () => refusal;
		await ask();
		const again = { ...EXPIRED, refresh: "signed-in-again" };
		accounts.rows = [{ ...row(), credential: again, needsLogin: undefined }];
		answer = () => grant();
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "ready" });
		expect(spent).toEqual([EXPIRED.refresh, "signed-in-again"]);
	});

	it("is refused to a process that had its claim ready before the refusal was known", async () => {
		open(EXPIRED);
		const { updateIf } = state;
		state.updateIf = async (id, ...given) => {
			await state.update(id, (status) => ({
				...status,
				spent: [{ tokenHash: fingerprint(EXPIRED.refresh), reason: "refresh_token_expired" }],
			}));
			return updateIf(id, ...given);
		};
		expect(await ask()).toMatchObject({ kind: "signed-out", reason: "refresh_token_expired" });
		expect([spent, row().needsLogin?.reason]).toEqual([[], "refresh_token_expired"]);
	});

	it("is flagged with it if pi's file had another one than the row", async () => {
		openLinked(issued(NOW - 20 * DAY_MS, NOW - DAY_MS));
		piAuth.login = { kind: "oauth", credential: EXPIRED, workspaceId: aWorkspaceId("acct-work") };
		answer = () => refusal;
		expect(await ask()).toMatchObject({ kind: "signed-out" });
		expect(row()).toMatchObject({ credential: EXPIRED, needsLogin: { reason: "refresh_token_expired" } });
	});

	it("a refused login of pi stays flagged while another process waits for the lock", async () => {
		const later = issued(NOW - DAY_MS, NOW + 9 * MINUTE_MS);
		openLinked(EXPIRED);
		piAuth.beforeLock = () => {
			piAuth.login = { kind: "oauth", credential: later, workspaceId: aWorkspaceId("acct-work") };
			accounts.rows = [{ ...row(), credential: later, needsLogin: { reason: "refresh_token_expired", at: NOW } }];
		};
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect([spent, row().needsLogin?.reason]).toEqual([[], "refresh_token_expired"]);
	});

	it("a closed account is tried again once a person switches it on", async () => {
		open(EXPIRED);
		answer = () => ({ kind: "refused", code: "account_deactivated", closed: true });
		await ask();
		accounts.rows = [{ ...row(), enabled: true, disabledReason: undefined }];
		answer = () => grant();
		expect(await ask()).toMatchObject({ kind: "ready" });
	});
});

describe("a refresh token that was exchanged before", () => {
	it("is not sent again if an older file was put back, and its sign-in is over", async () => {
		open(EXPIRED);
		expect(await ask()).toMatchObject({ kind: "ready" });
		accounts.rows = [{ ...row(), credential: EXPIRED }];
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({
			kind: "signed-out",
			reason: "refresh_token_reused",
		});
		expect(spent).toEqual([EXPIRED.refresh]);
	});

	it("is not sent if pi's file has it still, and ours has the next one of the same second", async () => {
		openLinked(EXPIRED);
		piAuth.isFull = true;
		answer = () => ({ kind: "granted", credential: { ...EXPIRED, refresh: "next" } });
		await ask();
		piAuth.isFull = false;
		answer = () => grant();
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "ready" });
		expect(spent).toEqual([EXPIRED.refresh, "next"]);
	});

	it("is sent again if the issuer has left it as it was", async () => {
		open(EXPIRED);
		answer = () => ({ kind: "granted", credential: { ...EXPIRED, access: aTokenOf("work", { issuedAt: NOW }) } });
		await ask();
		answer = () => grant(NOW + HOUR_MS);
		expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "ready" });
		expect(spent).toEqual([EXPIRED.refresh, EXPIRED.refresh]);
	});
});

describe("an exchange that was not answered", () => {
	beforeEach(() => {
		open(issued(NOW - 10 * DAY_MS, NOW - 2 * DAY_MS));
		machine.ranMs = 1000;
		answer = () => ({ kind: "unknown", reason: "the connection was reset" });
	});

	it.each([MINUTE_MS, -MINUTE_MS, DAY_MS, -DAY_MS])(
		"an exchange that was not answered is not tried again if a clock jumps by %i ms",
		async (jumpMs) => {
			await ask();
			clock.at += jumpMs;
			machine.ranMs = 1000 + MINUTE_MS - 1;
			expect(await anotherProcess().accessToken(ID, {})).toMatchObject({ kind: "unavailable" });
			expect(spent).toHaveLength(1);
		},
	);

	it("is tried again when the machine has run for a minute, whatever clocks say", async () => {
		await ask();
		machine.ranMs = 1000 + MINUTE_MS;
		await anotherProcess().accessToken(ID, {});
		expect(spent).toHaveLength(2);
	});

	it("is tried again a minute later by the clock if the machine was restarted", async () => {
		await ask();
		machine.ranMs = 5;
		await anotherProcess().accessToken(ID, {});
		expect(spent).toHaveLength(1);
		clock.at += MINUTE_MS;
		await anotherProcess().accessToken(ID, {});
		expect(spent).toHaveLength(2);
	});
});

describe("a claim that cannot be written where others see it", () => {
	const troubleOf = (code: string) => Object.assign(new Error(code), { code });

	it.each(["ENOSPC", "EROFS", "EIO", "ELOCKED", "ENOENT", "ESTALE", "ECUSTOM"])(
		"sends nothing while that passes: %s",
		async (code) => {
			open(EXPIRED);
			state.trouble = troubleOf(code);
			expect(await ask()).toMatchObject({ kind: "unavailable" });
			expect([spent, state.status(ID).exchange]).toEqual([[], undefined]);
			state.trouble = undefined;
			clock.at += MINUTE_MS;
			expect(await ask()).toMatchObject({ kind: "ready" });
		},
	);

	it.each([troubleOf("EISDIR"), new Error("of a newer version")])(
		"does not keep an account from being renewed if the file can never be written: %s",
		async (trouble) => {
			open(EXPIRED);
			state.trouble = trouble;
			expect(await ask()).toMatchObject({ kind: "ready" });
		},
	);
});

describe("an answer with a next refresh token and no access token", () => {
	it("is kept, and the next one is exchanged soon, but not at once: each try spends one", async () => {
		open(EXPIRED);
		answer = () => ({ kind: "unknown", reason: "an answer without a token", next: () => "next" });
		const result = await ask();
		expect(result.kind === "unavailable" && result.retryAt - NOW).toBeLessThan(MINUTE_MS / 2);
		expect(row().credential).toEqual({ ...EXPIRED, refresh: "next" });
		expect(state.status(ID).exchange).toBeUndefined();
		answer = () => grant();
		clock.at += 1000;
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		clock.at += 1000;
		expect(await ask()).toMatchObject({ kind: "ready" });
		expect(spent).toEqual([EXPIRED.refresh, "next"]);
	});
});

describe("a renewal that fails until the person has changed something", () => {
	it("is not tried again at every request, and says what to change each time", async () => {
		open(EXPIRED);
		answer = () => ({ kind: "unavailable", reason: "its certificate is not trusted", lasts: true });
		const first = await ask();
		expect(first).toMatchObject({ kind: "unavailable", reason: "its certificate is not trusted", lasts: true });
		expect(first.kind === "unavailable" && first.retryAt - NOW).toBeGreaterThan(MINUTE_MS);
		clock.at += MINUTE_MS;
		expect(await ask()).toMatchObject({ reason: "its certificate is not trusted", lasts: true });
		expect([spent.length, row().needsLogin, state.status(ID).exchange]).toEqual([1, undefined, undefined]);
	});
});

describe("an account that is merged into another one while its token is renewed", () => {
	it("is not renewed under both ids: the note of the former one counts", async () => {
		open(EXPIRED, { formerIds: [anId("gone")] });
		await state.update(anId("gone"), (status) => ({
			...status,
			exchange: { tokenHash: fingerprint(EXPIRED.refresh), at: NOW },
		}));
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect(spent).toEqual([]);
	});

	it("spends nothing once it is gone", async () => {
		open(EXPIRED);
		const { updateIf } = state;
		state.updateIf = async (...given) => {
			const isDone = await updateIf(...given);
			accounts.rows = [];
			return isDone;
		};
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect([spent, state.status(ID).exchange]).toEqual([[], undefined]);
	});
});

describe("a token that came for one account and speaks for another", () => {
	const OTHER_ID = idFor("user-other__acct-other", "acct-other");
	const ofOther = (at = NOW): Credential => ({
		access: aTokenOf("other", { issuedAt: at, expiresAt: at + 10 * DAY_MS }),
		refresh: "refresh-other",
		expiresAt: at + 10 * DAY_MS,
	});
	const other = (over: Partial<Account> = {}) =>
		anAccount("other", {
			id: OTHER_ID,
			workspaceId: aWorkspaceId("acct-other"),
			credential: ofOther(NOW - DAY_MS),
			...over,
		});
	const rowOf = (id: string) => accounts.rows.find((each) => each.id === id);
	const lost = { reason: "renewed_as_another", at: NOW };
	beforeEach(() => {
		answer = () => ({ kind: "granted", credential: ofOther() });
	});

	it("adds that account, and the one whose token was spent has to sign in again", async () => {
		open(EXPIRED, { source: "import:codex" });
		answer = () => ({ kind: "granted", credential: ofOther() });
		expect(await ask()).toMatchObject({ kind: "signed-out", reason: "renewed_as_another", account: { id: ID } });
		expect(rowOf(ID)).toMatchObject({ workspaceId: "acct-work", credential: EXPIRED, needsLogin: lost });
		expect(rowOf(OTHER_ID)).toMatchObject({
			label: "other",
			workspaceId: "acct-other",
			email: "other@example.test",
			credential: ofOther(),
			source: "import:codex",
			linked: false,
			needsLogin: undefined,
		});
		expect(told).toEqual([{ type: "membership", change: "added", account: OTHER_ID, source: "import:codex" }]);
		expect(await credentials.accessToken(OTHER_ID, {})).toEqual({ kind: "ready", access: ofOther().access });
		clock.at = NOW + HOUR_MS;
		await anotherProcess().accessToken(ID, {});
		expect(spent).toEqual([EXPIRED.refresh]);
	});

	it.each<[string, Partial<Account>]>([
		["works", {}],
		["had to sign in again", { needsLogin: { reason: "refresh_token_expired", at: NOW } }],
		["is linked to pi's login", { linked: true, source: "pi" }],
		["is held by the pi of another directory", { linkedElsewhere: true, source: "pi" }],
	])("is the new sign-in of an account that is known, and %s", async (_what, over) => {
		open(EXPIRED);
		answer = () => ({ kind: "granted", credential: ofOther() });
		accounts.rows = [row(), other({ label: "mine", enabled: false, ...over })];
		expect(await ask()).toMatchObject({ kind: "signed-out" });
		const kept = { label: "mine", enabled: false, credential: ofOther(), linked: false, needsLogin: undefined };
		expect(rowOf(OTHER_ID)).toMatchObject(kept);
		expect(rowOf(OTHER_ID)?.linkedElsewhere).toBeUndefined();
		expect(rowOf(ID)).toMatchObject({ credential: EXPIRED, needsLogin: lost });
	});

	it("leaves a later sign-in of that account alone", async () => {
		open(EXPIRED);
		answer = () => ({ kind: "granted", credential: ofOther() });
		accounts.rows = [row(), other({ credential: ofOther(NOW + HOUR_MS) })];
		await ask();
		expect(rowOf(OTHER_ID)?.credential).toEqual(ofOther(NOW + HOUR_MS));
	});

	it("is kept in pi's own file under its own workspace if pi holds the sign-in, and is linked", async () => {
		openLinked(EXPIRED);
		answer = () => ({ kind: "granted", credential: ofOther() });
		expect(await ask()).toMatchObject({ kind: "signed-out", reason: "renewed_as_another" });
		expect(piAuth.login).toEqual({ kind: "oauth", credential: ofOther(), workspaceId: "acct-other" });
		expect(rowOf(OTHER_ID)).toMatchObject({ credential: ofOther(), linked: true, source: "pi" });
		expect(rowOf(ID)).toMatchObject({ credential: EXPIRED, needsLogin: lost });
	});

	it("stays pi's alone if that account has a working sign-in of its own", async () => {
		openLinked(EXPIRED);
		answer = () => ({ kind: "granted", credential: ofOther() });
		accounts.rows = [row(), other()];
		await ask();
		expect(inFile()).toEqual(ofOther());
		expect(rowOf(OTHER_ID)).toMatchObject({ credential: ofOther(NOW - DAY_MS), linked: false });
	});

	it("is stored in our file if pi's cannot be written", async () => {
		openLinked(EXPIRED);
		answer = () => ({ kind: "granted", credential: ofOther() });
		piAuth.isFull = true;
		await ask();
		expect(inFile()).toEqual(EXPIRED);
		expect(rowOf(OTHER_ID)).toMatchObject({ credential: ofOther(), linked: false, source: "login" });
		expect(rowOf(ID)).toMatchObject({ needsLogin: lost });
	});

	it.each([
		["tells less", aToken({ issuedAt: NOW, auth: { chatgpt_account_id: "acct-work" } })],
		["tells other claims", aToken({ issuedAt: NOW, auth: { chatgpt_account_id: "acct-work", user_id: "user-work" } })],
		["has another e-mail", aTokenOf("work", { profileEmail: "married@example.test" })],
	])("is taken for one of the same account if it only %s", async (_what, access) => {
		open(EXPIRED);
		const credential = { ...FRESH, access };
		answer = () => ({ kind: "granted", credential });
		expect(await ask()).toEqual({ kind: "ready", access });
		expect(accounts.rows).toMatchObject([{ id: ID, credential, needsLogin: undefined }]);
	});

	it.each<[string, Partial<Account>]>([
		["workspace", { workspaceId: aWorkspaceId("acct-typed-by-hand") }],
		[
			"workspace and user",
			{ workspaceId: aWorkspaceId("acct-typed-by-hand"), claims: ["chatgpt_user_id=typed-by-hand"] },
		],
	])("is judged by the token that was spent if the row names another %s than that", async (_what, over) => {
		open(EXPIRED, over);
		answer = () => grant();
		expect(await ask()).toEqual({ kind: "ready", access: FRESH.access });
		expect(accounts.rows).toHaveLength(1);
	});
});
