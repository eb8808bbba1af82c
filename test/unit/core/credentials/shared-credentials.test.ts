import { beforeEach, describe, expect, it } from "vitest";
import { createCredentials } from "../../../../src/core/credentials/credentials.ts";
import type { SharedTokens } from "../../../../src/core/ports.ts";
import { fingerprint, identityOf, tokenTimes } from "../../../../src/platform/backend/jwt.ts";
import {
	aClock,
	aMachine,
	anAccount,
	anAccountStore,
	aPiAuth,
	aStateStore,
	DAY_MS,
	type FakeAccountStore,
	type FakeClock,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	settled,
} from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

type Renewed = Awaited<ReturnType<SharedTokens["renew"]>>;

const credential = { access: "old", refresh: "shared:0123", expiresAt: NOW + HOUR_MS };
let clock: FakeClock;
let accounts: FakeAccountStore;
let sent: string[];
let renewals: (string | undefined)[];
let answer: () => Promise<Renewed>;
let isDue: boolean;
let hasPool: boolean;
let credentials: ReturnType<typeof createCredentials>;

beforeEach(() => {
	clock = aClock();
	accounts = anAccountStore(anAccount("a", { shared: true, credential }));
	sent = [];
	renewals = [];
	answer = async () => ({ kind: "ready", access: "new" });
	isDue = false;
	hasPool = true;
	const shared: SharedTokens = {
		isDue: () => isDue,
		renew: (_account, refused) => {
			renewals.push(refused);
			return answer();
		},
	};
	credentials = createCredentials({
		accounts,
		state: aStateStore(),
		piAuth: aPiAuth(),
		clock,
		processes: aMachine().process(1),
		oauth: {
			refresh: async (refresh) => {
				sent.push(refresh);
				return { kind: "unavailable", reason: "never" };
			},
		},
		tokens: { fingerprint, identify: identityOf, issuedAt: (access) => tokenTimes(access).issuedAt },
		pause: async () => undefined,
		labelFor: () => "a",
		shared: () => (hasPool ? shared : undefined),
	});
});

const ask = (refused?: string) => credentials.accessToken(anId("a"), { refused });

describe("the token of a shared account", () => {
	it("is given at once while it is good, and renewed behind if that is due", async () => {
		expect(await ask()).toEqual({ kind: "ready", access: "old" });
		expect(renewals).toEqual([]);
		isDue = true;
		let finish = (_: Renewed) => undefined as unknown;
		answer = () =>
			new Promise((resolve) => {
				finish = resolve;
			});
		expect(await ask()).toEqual({ kind: "ready", access: "old" });
		expect(await ask()).toEqual({ kind: "ready", access: "old" });
		expect(renewals).toEqual([undefined]);

		let isIdle = false;
		void credentials.idle().then(() => {
			isIdle = true;
		});
		await settled();
		expect(isIdle).toBe(false);
		finish({ kind: "ready", access: "new" });
		await settled();
		expect(isIdle).toBe(true);
	});

	it("is waited for if it has run out or was refused, and its stand-in is never sent", async () => {
		expect(await ask("old")).toEqual({ kind: "ready", access: "new" });
		clock.at = NOW + DAY_MS;
		expect(await ask()).toEqual({ kind: "ready", access: "new" });
		expect(renewals).toEqual(["old", undefined]);
		expect(sent).toEqual([]);
	});

	it.each([
		[
			{ kind: "failed", reason: "x" },
			{ kind: "unavailable", reason: "x", retryAt: NOW + DAY_MS + 2000 },
		],
		[
			{ kind: "unavailable", reason: "y", retryAt: NOW + DAY_MS + 7000 },
			{ kind: "unavailable", reason: "y", retryAt: NOW + DAY_MS + 7000 },
		],
		[
			{ kind: "unavailable", reason: "z", retryAt: NOW + 9 * DAY_MS },
			{ kind: "unavailable", reason: "z", retryAt: NOW + DAY_MS + 2 * MINUTE_MS },
		],
	] satisfies [Renewed, unknown][])("is not asked for again too soon after %o", async (answered, expected) => {
		clock.at = NOW + DAY_MS;
		answer = async () => answered;
		expect(await ask()).toEqual(expected);
		expect(await ask()).toMatchObject({ kind: "unavailable" });
		expect(renewals).toHaveLength(1);
	});

	it("is unavailable once the pool was left, and nothing is sent", async () => {
		hasPool = false;
		clock.at = NOW + DAY_MS;
		expect(await ask()).toMatchObject({ kind: "unavailable", reason: "its pool was left" });
		expect(sent).toEqual([]);
	});
});
