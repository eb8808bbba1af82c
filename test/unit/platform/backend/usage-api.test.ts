import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { reserveModelOf } from "../../../../src/core/quota.ts";
import { createUsageApi, usageFromHeaders, usageUrl } from "../../../../src/platform/backend/usage-api.ts";
import { answers, type FakeCodex, startFakeCodex, usageAnswers } from "../../../support/fake-codex/index.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { aWorkspaceId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";

const inSeconds = (ms: number) => String(Math.floor(ms / 1000));

/** Headers of one family, e.g. `codex` or `codex-bengalfox`. */
function family(name: string, slot: "primary" | "secondary", fields: Record<string, string | number>) {
	return Object.fromEntries(
		Object.entries(fields).map(([field, value]) => [`x-${name}-${slot}-${field}`, String(value)]),
	);
}

describe("usage in response headers", () => {
	const read = (headers: Record<string, string>) => usageFromHeaders(headers, NOW);
	const windowsOf = (headers: Record<string, string>) => read(headers).snapshot?.windows;

	it("is every window that they tell, whatever slot it is in", () => {
		const headers = {
			...family("codex", "primary", {
				"used-percent": 8,
				"window-minutes": 10080,
				"reset-at": inSeconds(NOW + DAY_MS),
				"reset-after-seconds": 86_400,
			}),
			...family("codex", "secondary", {
				"used-percent": 27.5,
				"window-minutes": 300,
				"reset-at": inSeconds(NOW + HOUR_MS),
			}),
			"x-codex-plan-type": "pro",
			"x-codex-active-limit": "codex",
		};
		expect(read(headers)).toEqual({
			snapshot: {
				capturedAt: NOW,
				source: "headers",
				plan: "pro",
				windows: [
					{ usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + DAY_MS },
					{ usedPercent: 27.5, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
				],
				limits: {},
				credits: undefined,
				limitReached: false,
			},
			activeLimit: undefined,
			activeWindows: [
				{ usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + DAY_MS },
				{ usedPercent: 27.5, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
			],
		});
	});

	it.each<[string, Record<string, string | number>, number | undefined]>([
		["in seconds since 1970", { "reset-at": inSeconds(NOW + HOUR_MS) }, NOW + HOUR_MS],
		["as ISO time", { "reset-at": new Date(NOW + HOUR_MS).toISOString() }, NOW + HOUR_MS],
		["in milliseconds since 1970", { "reset-at": NOW + HOUR_MS }, NOW + HOUR_MS],
		["as ISO time with an offset", { "reset-at": "2026-11-20T14:00:00+01:00" }, NOW + HOUR_MS],
		["in seconds from now", { "reset-after-seconds": 3600 }, NOW + HOUR_MS],
		["in seconds from now beside nonsense", { "reset-at": "soon", "reset-after-seconds": 60 }, NOW + MINUTE_MS],
		[
			"in seconds from now beside broken ISO time",
			{ "reset-at": "2026-99-99T", "reset-after-seconds": 60 },
			NOW + MINUTE_MS,
		],
		["over 366 days ahead", { "reset-at": inSeconds(NOW + 367 * DAY_MS) }, undefined],
		["long past, beside seconds from now", { "reset-at": "1", "reset-after-seconds": 60 }, NOW + MINUTE_MS],
		[
			"two hours ago by a clock that is ahead, beside seconds from now",
			{ "reset-at": inSeconds(NOW - 2 * HOUR_MS), "reset-after-seconds": 600 },
			NOW + 10 * MINUTE_MS,
		],
		["just past", { "reset-at": inSeconds(NOW - MINUTE_MS), "reset-after-seconds": 0 }, NOW - MINUTE_MS],
		["in negative seconds", { "reset-after-seconds": -60 }, undefined],
		["not at all", {}, undefined],
		["as zero", { "reset-at": 0, "reset-after-seconds": 0 }, undefined],
	])("tells a reset %s", (_name, fields, resetsAt) => {
		const headers = family("codex", "primary", { "used-percent": 5, "window-minutes": 300, ...fields });
		expect(windowsOf(headers)).toEqual([{ usedPercent: 5, windowMinutes: 300, resetsAt }]);
	});

	it.each<[string, Record<string, string | number>]>([
		["switched off (0 minutes)", { "used-percent": 100, "window-minutes": 0, "reset-at": inSeconds(NOW) }],
		["of negative length", { "used-percent": 100, "window-minutes": -5 }],
		["without a length", { "used-percent": 0 }],
		["without a use", { "window-minutes": 300 }],
		["of nonsense", { "used-percent": "lots", "window-minutes": "five hours" }],
		["of nothing", { "used-percent": "", "window-minutes": " " }],
		["without end", { "used-percent": "Infinity", "window-minutes": 300 }],
		["overdrawn beyond belief", { "used-percent": 1e308, "window-minutes": 300 }],
		["used by over 1,000 percent", { "used-percent": 1001, "window-minutes": 300 }],
		["used by less than nothing", { "used-percent": -1, "window-minutes": 300 }],
		["longer than a year", { "used-percent": 5, "window-minutes": 367 * 1440 }],
	])("leaves out a window that is %s", (_name, fields) => {
		const headers = {
			...family("codex", "primary", fields),
			...family("codex", "secondary", { "used-percent": 1, "window-minutes": 10080 }),
		};
		expect(windowsOf(headers)).toEqual([{ usedPercent: 1, windowMinutes: 10080, resetsAt: undefined }]);
	});

	it("usage in response headers is not known if there is no window at all", () => {
		for (const headers of [{}, { "content-type": "text/html" }, { "x-codex-plan-type": "plus" }]) {
			expect(read(headers)).toEqual({ snapshot: undefined, activeLimit: undefined, activeWindows: [] });
		}
	});

	it("is never rounded: 99.6 is not all", () => {
		const headers = family("codex", "primary", { "used-percent": "99.6", "window-minutes": 300 });
		expect(windowsOf(headers)?.[0]?.usedPercent).toBe(99.6);
	});

	const spark = {
		...family("codex-bengalfox", "primary", {
			"used-percent": 100,
			"window-minutes": 10080,
			"reset-at": inSeconds(NOW + 3 * DAY_MS),
		}),
		"x-codex-bengalfox-limit-name": "GPT-5.3-Codex-Spark",
	};
	const general = family("codex", "primary", { "used-percent": 10, "window-minutes": 300 });

	it("keeps no more than 50 further limits, and no words longer than a line", () => {
		const many = Array.from({ length: 200 }, (_, at) =>
			family(`limit-${at}`, "primary", { "used-percent": 1, "window-minutes": 300 }),
		);
		const { snapshot } = read({ ...Object.assign({}, ...many), "x-codex-plan-type": "p".repeat(500) });
		expect(Object.keys(snapshot?.limits ?? {})).toHaveLength(50);
		expect(snapshot?.plan).toBe("p".repeat(80));
	});

	it("keeps the limits of single models apart from the general one", () => {
		const { snapshot } = read({ ...general, ...spark });
		expect(snapshot?.windows).toHaveLength(1);
		expect(snapshot?.limits).toEqual({
			codex_bengalfox: {
				name: "GPT-5.3-Codex-Spark",
				windows: [{ usedPercent: 100, windowMinutes: 10080, resetsAt: NOW + 3 * DAY_MS }],
			},
		});
	});

	it.each(["codex_bengalfox", "codex-bengalfox", " Codex_Bengalfox "])("knows the limit that governs: %j", (active) => {
		const { activeLimit, activeWindows } = read({ ...general, ...spark, "x-codex-active-limit": active });
		expect(activeLimit).toBe("codex_bengalfox");
		expect(activeWindows).toMatchObject([{ usedPercent: 100 }]);
	});

	it.each(["codex", "premium", "PREMIUM", ""])("takes the limit %j for the general one", (active) => {
		const { activeLimit, activeWindows } = read({ ...general, ...spark, "x-codex-active-limit": active });
		expect(activeLimit).toBeUndefined();
		expect(activeWindows).toMatchObject([{ usedPercent: 10 }]);
	});

	it.each([
		["codex", "codex", 100],
		["premium", "premium", 30],
		["codex and premium", "premium", 30],
		["codex and premium", "codex", 100],
		["codex and premium", "", 100],
	])("reads the general limit from the families of %s if the limit %j governs", (names, active, usedPercent) => {
		const codex = family("codex", "primary", { "used-percent": 100, "window-minutes": 300 });
		const premium = family("premium", "primary", { "used-percent": 30, "window-minutes": 300 });
		const headers = { ...(names.includes("codex") && codex), ...(names.includes("premium") && premium) };
		const { snapshot, activeLimit, activeWindows } = read({ ...headers, "x-codex-active-limit": active });
		const windows = [{ usedPercent, windowMinutes: 300, resetsAt: undefined }];
		expect(snapshot).toMatchObject({ windows, limits: {} });
		expect({ activeLimit, activeWindows }).toEqual({ activeLimit: undefined, activeWindows: windows });
	});

	it.each([
		[299, 300],
		[10_079, 10_080],
		["299.5", 300],
		[298, 298],
		[300, 300],
	])("takes a window of %s minutes for one of %i, since a rounded length names no second window", (told, minutes) => {
		const headers = family("codex", "primary", { "used-percent": 1, "window-minutes": told });
		expect(windowsOf(headers)).toMatchObject([{ windowMinutes: minutes }]);
	});

	it("blames no window of the general limit if the governing one tells none", () => {
		const spent = family("codex", "primary", { "used-percent": 100, "window-minutes": 300 });
		expect(read({ ...spent, "x-codex-active-limit": "codex_other" })).toMatchObject({
			activeLimit: "codex_other",
			activeWindows: [],
		});
	});

	it("reads flags of credits as the endpoint writes them, and learns nothing from any other word", () => {
		const flags = (has: string) => ({ "x-codex-credits-has-credits": has, "x-codex-credits-unlimited": "0" });
		expect(read({ ...general, ...flags("1") }).snapshot?.credits).toMatchObject({ hasCredits: true, unlimited: false });
		expect(read({ ...general, ...flags("some") }).snapshot?.credits).toBeUndefined();
	});

	it("has credits if the headers tell of them", () => {
		const credits = {
			"x-codex-credits-has-credits": "True",
			"x-codex-credits-unlimited": "false",
			"x-codex-credits-balance": "12.50",
		};
		expect(read({ ...general, ...credits }).snapshot?.credits).toEqual({
			hasCredits: true,
			unlimited: false,
			balance: "12.50",
		});
	});

	it("never throws, and tells only windows that have a length", () => {
		const name = fc
			.tuple(
				fc.constantFrom("codex", "codex-bengalfox", "__proto__", "a-primary"),
				fc.constantFrom("primary", "secondary", "tertiary"),
				fc.constantFrom("used-percent", "window-minutes", "reset-at", "reset-after-seconds", "limit-name"),
			)
			.map(([limit, slot, field]) => `x-${limit}-${slot}-${field}`);
		const value = fc.oneof(fc.constantFrom("0", "100", "-1", "1e309", "NaN", "2026-11-20T12:00:00Z"), fc.string());
		fc.assert(
			fc.property(fc.dictionary(name, value), fc.string(), (headers, active) => {
				const { snapshot, activeWindows } = read({ ...headers, "x-codex-active-limit": active });
				for (const window of [...(snapshot?.windows ?? []), ...activeWindows]) {
					expect(window.windowMinutes).toBeGreaterThan(0);
					expect(Number.isFinite(window.usedPercent)).toBe(true);
				}
			}),
			runs(60, 2000),
		);
	});

	it.each(["base-model-inference", "base_model_inference", "gpt-reserve"])(
		"takes windows of x-%s for those of the reserve model, and for no limit of a model",
		(name) => {
			const spent = family(name, "primary", { "used-percent": 100, "window-minutes": 10_080 });
			const { snapshot, activeLimit, activeWindows } = read({ ...spent, "x-codex-active-limit": name });
			expect(snapshot?.limits).toEqual({});
			expect(snapshot?.reserveModel).toMatchObject({
				limitId: "base_model_inference",
				wireModel: "gpt-reserve",
				visibleModel: "",
				windows: [{ usedPercent: 100, windowMinutes: 10_080 }],
			});
			expect([activeLimit, activeWindows]).toEqual([undefined, []]);
		},
	);

	it("knows the reserve model by its name under another id", () => {
		const headers = {
			...family("tomorrow", "primary", { "used-percent": 20, "window-minutes": 10_080 }),
			"x-tomorrow-limit-name": "gpt-reserve",
			"x-tomorrow-normal-model-slug": "gpt-6-luna",
		};
		expect(read(headers).snapshot).toMatchObject({ limits: {}, reserveModel: { visibleModel: "gpt-6-luna" } });
	});
});

describe("where usage is asked", () => {
	it.each([
		["https://chatgpt.com/backend-api", "https://chatgpt.com/backend-api/wham/usage"],
		["https://chatgpt.com/backend-api/", "https://chatgpt.com/backend-api/wham/usage"],
		["https://chatgpt.com/backend-api/codex", "https://chatgpt.com/backend-api/wham/usage"],
		["https://chatgpt.com/backend-api/codex/responses//", "https://chatgpt.com/backend-api/wham/usage"],
		["http://127.0.0.1:1/x/codex-proxy", "http://127.0.0.1:1/x/codex-proxy/wham/usage"],
	])("usage for %s is asked at %s", (base, url) => {
		expect(usageUrl(base)).toBe(url);
	});
});

describe("usage from the endpoint", () => {
	let codex: FakeCodex;
	beforeEach(async () => {
		codex = await startFakeCodex({ accounts: [{ name: "a", plan: "pro" }] });
	});
	afterEach(() => codex.close());

	const api = createUsageApi(() => NOW);
	const ask = (baseUrl = codex.baseUrl, signal = new AbortController().signal) => {
		const { access } = codex.grant("a");
		return api.fetch({ baseUrl, access, workspaceId: aWorkspaceId(codex.account("a").accountId) }, signal);
	};
	/** What it says when it fails; never a token, and never the body. */
	const failureOf = async (asked: Promise<unknown>) => {
		const error = await asked.then(
			() => undefined,
			(reason: unknown) => reason,
		);
		expect(error).toBeInstanceOf(Error);
		const text = error instanceof Error ? error.message : "";
		expect(codex.secrets().filter((secret) => text.includes(secret))).toEqual([]);
		return text;
	};

	it("is asked with word of a reserve model only if one is asked for", async () => {
		const { access } = codex.grant("a");
		const request = { baseUrl: codex.baseUrl, access, workspaceId: aWorkspaceId("acct-a") };
		const { signal } = new AbortController();
		expect(await api.fetch(request, signal)).not.toHaveProperty("askedForReserve");
		expect(await api.fetch({ ...request, withReserveModel: true }, signal)).toHaveProperty("askedForReserve", true);
		const headers = codex.requestsOf("usage").map((each) => each.headers);
		expect(headers.map((each) => each["x-openai-codex-luna-reserve"])).toEqual([undefined, "1"]);
		expect(Object.keys(headers[1] ?? {})).toHaveLength(Object.keys(headers[0] ?? {}).length + 1);
	});

	it("is asked with the account's own token and workspace, and nothing that names a person", async () => {
		await ask();
		const [request] = codex.requestsOf("usage");
		expect(request).toMatchObject({ method: "GET", path: "/backend-api/wham/usage", account: "a" });
		expect(Object.keys(request?.headers ?? {}).sort()).toEqual(
			expect.arrayContaining(["accept", "authorization", "chatgpt-account-id", "user-agent"]),
		);
		expect(request?.headers["chatgpt-account-id"]).toBe("acct-a");
		expect(request?.headers["user-agent"]).toMatch(/^pi \(/);
		expect(JSON.stringify(request?.headers)).not.toMatch(/example\.test|multicodex/);
	});

	it("is every window, plan and credit that there is", async () => {
		const account = codex.account("a");
		account.setQuota({ fiveHour: { usedPercent: 27.5, resetsInMs: HOUR_MS }, week: { usedPercent: 8 } });
		account.credits = { hasCredits: true, unlimited: false, balance: "3.00" };
		account.additionalLimits = [
			{ limitName: "Spark", meteredFeature: "codex_bengalfox", usedPercent: 100, resetsInMs: DAY_MS },
		];
		const snapshot = await ask();
		expect(snapshot).toMatchObject({
			capturedAt: NOW,
			source: "api",
			plan: "pro",
			windows: [
				{ usedPercent: 27.5, windowMinutes: 300 },
				{ usedPercent: 8, windowMinutes: 10080 },
			],
			limits: { codex_bengalfox: { name: "Spark", windows: [{ usedPercent: 100, windowMinutes: 10080 }] } },
			credits: { hasCredits: true, unlimited: false, balance: "3.00" },
			limitReached: false,
		});
		const [fiveHours] = snapshot.windows;
		expect(Math.abs((fiveHours?.resetsAt ?? 0) - (Date.now() + HOUR_MS))).toBeLessThan(MINUTE_MS);
	});

	it("knows a window by its length in the secondary's place, and a month in the primary's", async () => {
		codex.account("a").usage(usageAnswers.windows(["week", { usedPercent: 5 }], ["fiveHour", { usedPercent: 6 }]));
		expect((await ask()).windows).toMatchObject([{ windowMinutes: 10080 }, { windowMinutes: 300 }]);
		codex.account("a").usage(usageAnswers.windows(["month", { usedPercent: 50 }]));
		expect((await ask()).windows).toMatchObject([{ usedPercent: 50, windowMinutes: 43200 }]);
	});

	it.each([
		["both windows are null", usageAnswers.nullWindows()],
		["there is no limit", usageAnswers.noRateLimit()],
	])("usage from the endpoint has no window if %s", async (_name, answer) => {
		codex.account("a").usage(answer);
		expect(await ask()).toMatchObject({ windows: [], limitReached: false });
	});

	it("takes the reset from either form, and leaves out a window of no length", async () => {
		const windows = (primary: unknown, secondary: unknown) =>
			usageAnswers.change((body) => ({
				...body,
				rate_limit: { primary_window: primary, secondary_window: secondary },
			}));
		const base = { used_percent: 1, limit_window_seconds: 18_001 };
		codex.account("a").usage(windows({ ...base, reset_after_seconds: 60 }, { ...base, limit_window_seconds: 0 }));
		expect((await ask()).windows).toEqual([{ usedPercent: 1, windowMinutes: 301, resetsAt: NOW + MINUTE_MS }]);
		codex.account("a").usage(windows({ ...base, reset_at: NOW / 1000 + 5, reset_after_seconds: 60 }, null));
		expect((await ask()).windows).toMatchObject([{ resetsAt: NOW + 5000 }]);
		codex.account("a").usage(windows(base, null));
		expect((await ask()).windows).toEqual([{ usedPercent: 1, windowMinutes: 301, resetsAt: undefined }]);
	});

	it.each([{ limit_reached: true }, { allowed: false }])(
		"takes the server's word that it is reached: %j",
		async (told) => {
			codex.account("a").usage(usageAnswers.change((body) => ({ ...body, rate_limit: told })));
			expect(await ask()).toMatchObject({ limitReached: true, windows: [] });
		},
	);

	it("survives unknown fields, and credits that cannot be read", async () => {
		codex
			.account("a")
			.usage(usageAnswers.change((body) => ({ ...body, surprise: { deep: [1] }, credits: { has_credits: "many" } })));
		expect((await ask()).credits).toBeUndefined();
	});

	const WINDOW = { used_percent: 20, limit_window_seconds: 18_000, reset_after_seconds: 3600 };
	const KEPT = { usedPercent: 20, windowMinutes: 300, resetsAt: NOW + HOUR_MS };
	const askWith = (fields: Record<string, unknown>) => {
		codex.account("a").usage(usageAnswers.change((body) => ({ ...body, ...fields })));
		return ask();
	};

	it.each<[string, unknown]>([
		["no number", { ...WINDOW, used_percent: null }],
		["a use of 1e308", { ...WINDOW, used_percent: 1e308 }],
		["a use of 1,001 percent", { ...WINDOW, used_percent: 1001 }],
		["a negative use", { ...WINDOW, used_percent: -1 }],
		["no length", { used_percent: 5 }],
		["a negative length", { ...WINDOW, limit_window_seconds: -18_000 }],
		["a length of over a year", { ...WINDOW, limit_window_seconds: 367 * 86_400 }],
		["a text", "soon"],
		["a list", [WINDOW]],
	])("loses a window alone that has %s", async (_name, odd) => {
		const snapshot = await askWith({
			rate_limit: { allowed: true, limit_reached: "maybe", primary_window: odd, secondary_window: WINDOW },
			additional_rate_limits: [
				{
					limit_name: "Spark",
					metered_feature: "spark",
					rate_limit: { primary_window: odd, secondary_window: WINDOW },
				},
			],
		});
		expect(snapshot.windows).toEqual([KEPT]);
		expect(snapshot.limits).toEqual({ spark: { name: "Spark", windows: [KEPT] } });
		expect(snapshot).toMatchObject({ plan: "pro", limitReached: false });
		// A window of no length is one that the plan has switched off.
		expect(snapshot.isPartial).toBe(_name === "a negative length" ? undefined : true);
	});

	it("says of an answer whether each of its windows could be read", async () => {
		const of = async (rate_limit: unknown) => (await askWith({ rate_limit })).isPartial;
		for (const whole of [null, {}, { primary_window: null }, { primary_window: WINDOW, secondary_window: null }]) {
			expect(await of(whole)).toBeUndefined();
		}
		for (const odd of ["soon", [WINDOW], { primary_window: { used_percent: 100, reset_at: NOW } }]) {
			expect(await of(odd)).toBe(true);
		}
	});

	it.each<[string, Record<string, unknown>, number | undefined]>([
		["numbers as text", { reset_at: `${NOW / 1000 + 60}` }, NOW + MINUTE_MS],
		["ISO time", { reset_at: new Date(NOW + MINUTE_MS).toISOString() }, NOW + MINUTE_MS],
		["milliseconds", { reset_at: NOW + MINUTE_MS }, NOW + MINUTE_MS],
		["milliseconds as text", { reset_at: `${NOW + MINUTE_MS}` }, NOW + MINUTE_MS],
		["a date with a blank in it", { reset_at: "2026-11-20 12:00:00Z" }, Date.parse("2026-11-20T12:00:00Z")],
		["a date of HTTP", { reset_at: new Date(NOW + MINUTE_MS).toUTCString() }, NOW + MINUTE_MS],
		["a time without its date", { reset_at: "12:00", reset_after_seconds: 60 }, NOW + MINUTE_MS],
		["a time over 366 days ahead", { reset_at: NOW / 1000 + 367 * 86_400 }, undefined],
		["seconds over 366 days ahead", { reset_after_seconds: 367 * 86_400 }, undefined],
		["a time long past", { reset_at: 1 }, undefined],
		["negative seconds", { reset_after_seconds: -60 }, undefined],
		["an object", { reset_at: {}, reset_after_seconds: [] }, undefined],
	])("reads a reset told as %s", async (_name, reset, resetsAt) => {
		const window = { used_percent: "12.5", limit_window_seconds: "18000", ...reset };
		const { windows } = await askWith({ rate_limit: { primary_window: window } });
		expect(windows).toEqual([{ usedPercent: 12.5, windowMinutes: 300, resetsAt }]);
	});

	it.each([
		["rate_limit", "soon"],
		["additional_rate_limits", { spark: {} }],
		["additional_rate_limits", [null, 7, "x", { rate_limit: {} }, { limit_name: {}, metered_feature: 3 }]],
		["credits", "many"],
		["spend_control", [true]],
		["individual_limit", false],
		["rate_limit_reached_type", 7],
		["plan_type", { name: "pro" }],
	])("reads all else if %s is odd", async (part, odd) => {
		codex.account("a").setQuota({ fiveHour: { usedPercent: 20 } });
		codex.account("a").credits = { hasCredits: true };
		const snapshot = await askWith({ [part]: odd });
		expect(snapshot.plan).toBe(part === "plan_type" ? undefined : "pro");
		expect(snapshot.windows).toHaveLength(part === "rate_limit" ? 0 : 1);
		expect(snapshot.credits?.hasCredits).toBe(part === "credits" ? undefined : true);
		expect([snapshot.limits, snapshot.budgets, snapshot.limitReached]).toEqual([{}, undefined, false]);
	});

	it.each<[string, Record<string, unknown>, object]>([
		["a number", { balance: 12.5 }, { hasCredits: true, unlimited: false, balance: "12.5" }],
		["an object", { balance: {} }, { hasCredits: true, unlimited: false, balance: undefined }],
		["too long", { balance: "9".repeat(500) }, { hasCredits: true, unlimited: false, balance: "9".repeat(80) }],
		["in capitals", { has_credits: "TRUE", unlimited: "False" }, { hasCredits: true, unlimited: false }],
		["beside flags that are numbers", { has_credits: 1, unlimited: 0 }, { hasCredits: true, unlimited: false }],
		["beside a flag of 2", { has_credits: 2 }, { hasCredits: false, unlimited: false }],
		[
			"beside a limit that is reached",
			{ balance: "5", overage_limit_reached: true },
			{ hasCredits: false, balance: "5" },
		],
	])("keeps the flags of credits whose balance is %s", async (_name, odd, expected) => {
		const { credits } = await askWith({ credits: { has_credits: true, unlimited: false, ...odd } });
		expect(credits).toMatchObject(expected);
	});

	it("keeps no more than 50 further limits, and no names longer than a line", async () => {
		const limits = Array.from({ length: 3000 }, (_, at) => ({ limit_name: `${at} \u001b${"x".repeat(200)}` }));
		const kept = Object.keys((await askWith({ additional_rate_limits: limits })).limits);
		expect(kept).toHaveLength(50);
		expect(kept[0]).toBe(`0 ?${"x".repeat(77)}`);
		const { plan } = await askWith({ plan_type: "p".repeat(1000) });
		expect(plan).toBe("p".repeat(80));
	});

	it("takes limits that are called like a property of every object", async () => {
		const names = ["__proto__", "constructor", "toString"];
		const limits = names.map((limit_name) => ({ limit_name, rate_limit: { primary_window: WINDOW } }));
		const { limits: known } = await askWith({ additional_rate_limits: limits });
		expect(Object.keys(known)).toEqual(names);
		expect(Object.getPrototypeOf(known)).toBe(Object.prototype);
	});

	it.each<[string, Record<string, unknown>]>([
		["its id and its name", { limit_name: "gpt-reserve", metered_feature: "base_model_inference" }],
		["its id in another field", { limit_name: "gpt-reserve", limit_id: "base_model_inference" }],
		["its id alone", { metered_feature: "base_model_inference" }],
		["its id with dashes", { metered_feature: "base-model-inference" }],
		["its name alone", { limit_name: "gpt-reserve" }],
		["its name with an underscore", { limit_name: "gpt_reserve", metered_feature: "of_tomorrow" }],
		["a name for people", { limit_name: "GPT Reserve", metered_feature: "base_model_inference" }],
	])("knows the reserve model by %s, and takes it for no limit", async (_name, names) => {
		const entry = { ...names, normal_model_slug: "gpt-6-luna", rate_limit: { primary_window: WINDOW } };
		const snapshot = await askWith({ additional_rate_limits: [entry] });
		expect(snapshot.limits).toEqual({});
		expect(snapshot.reserveModel).toEqual({
			limitId: "base_model_inference",
			wireModel: "gpt-reserve",
			visibleModel: "gpt-6-luna",
			windows: [KEPT],
		});
	});

	it("asks the backend for the reserve model by the name that it gives it", async () => {
		const entry = { limit_name: "gpt-reserve-2", metered_feature: "base_model_inference", normal_model_slug: "luna" };
		expect((await askWith({ additional_rate_limits: [entry] })).reserveModel?.wireModel).toBe("gpt-reserve-2");
	});

	it.each<[string, unknown]>([
		["nothing", undefined],
		["an odd value", { name: "gpt-6-luna" }],
		["nothing but blanks", "  "],
	])("offers no reserve model that stands for %s, and still takes it for no limit", async (_name, slug) => {
		const entry = { limit_name: "gpt-reserve", normal_model_slug: slug, rate_limit: { primary_window: WINDOW } };
		const snapshot = await askWith({ additional_rate_limits: [entry] });
		expect([snapshot.limits, reserveModelOf(snapshot)]).toEqual([{}, undefined]);
	});

	it.each([{ limit_reached: true }, { allowed: false }])(
		"takes the server's word that the reserve model is used up: %j",
		async (told) => {
			const entry = { limit_name: "gpt-reserve", normal_model_slug: "gpt-6-luna", rate_limit: told };
			const { reserveModel, limitReached } = await askWith({ additional_rate_limits: [entry] });
			expect([reserveModel?.isReached, limitReached]).toEqual([true, false]);
		},
	);

	it.each<[string, unknown, number | undefined]>([
		["their number", { available_count: 2 }, 2],
		["their number as text", { available_count: "3" }, 3],
		["none", { available_count: 0 }, 0],
		["a negative number", { available_count: -1 }, undefined],
		["a part of one", { available_count: 0.5 }, undefined],
		["no number", { available_count: "many" }, undefined],
		["nothing", null, undefined],
		["an odd value", "two", undefined],
	])("counts the reset credits, told as %s", async (_name, told, expected) => {
		expect((await askWith({ rate_limit_reset_credits: told })).resetCredits).toBe(expected);
	});

	it("tells credits whose limit on spending is reached from those that are gone", async () => {
		const credits = { has_credits: true, unlimited: false, balance: "5" };
		const reached = await askWith({ credits: { ...credits, overage_limit_reached: true } });
		expect(reached.credits).toEqual({ hasCredits: false, unlimited: false, balance: "5", overageReached: true });
		const open = await askWith({ credits: { ...credits, overage_limit_reached: false } });
		expect(open.credits).toEqual({ hasCredits: true, unlimited: false, balance: "5" });
	});

	const reset = { reset_at: NOW / 1000 + 12 * 86_400 };
	const budget = { windowMinutes: 43_200, resetsAt: NOW + 12 * DAY_MS, isReached: false };
	it.each<[string, Record<string, unknown>, object[] | undefined]>([
		[
			"numbers",
			{ limit: 500, used: 490, used_percent: 98, ...reset },
			[{ ...budget, usedPercent: 98, used: 490, limit: 500 }],
		],
		["text", { limit: "500", used: "490", used_percent: "98", ...reset }, [{ ...budget, usedPercent: 98, limit: 500 }]],
		["what remains", { remaining_percent: 2, ...reset }, [{ ...budget, usedPercent: 98 }]],
		["amounts alone", { limit: "200", used: "50", ...reset }, [{ ...budget, usedPercent: 25 }]],
		["amounts that remain", { limit: 200, remaining: 150, ...reset }, [{ ...budget, usedPercent: 25 }]],
		[
			"an odd percentage beside amounts",
			{ used_percent: 1e308, limit: 4, used: 1, ...reset },
			[{ ...budget, usedPercent: 25 }],
		],
		["nothing", { source: "workspace" }, undefined],
		["nonsense", { limit: -5, used: "all", used_percent: null }, undefined],
	])("reads a budget told by %s", async (_name, individual_limit, expected) => {
		const within = await askWith({ rate_limit: null, spend_control: { reached: false, individual_limit } });
		expect(within.budgets).toEqual(expected && [expect.objectContaining(expected[0])]);
		const beside = await askWith({ rate_limit: null, spend_control: null, individual_limit });
		expect(beside.budgets).toEqual(within.budgets);
	});

	it("takes a budget for spent that the server calls so, whatever it has used", async () => {
		const told = { used_percent: 40, ...reset };
		const { budgets } = await askWith({ spend_control: { reached: true, individual_limit: told } });
		expect(budgets).toMatchObject([{ isReached: true, usedPercent: 100, resetsAt: NOW + 12 * DAY_MS }]);
		const { budgets: bare } = await askWith({ spend_control: { reached: true, individual_limit: null } });
		expect(bare).toMatchObject([{ isReached: true, usedPercent: 100, resetsAt: undefined }]);
	});

	it.each<[string, unknown, object]>([
		["a member's cap", { type: "workspace_member_usage_limit_reached" }, { budgets: [{ isReached: true }] }],
		["an owner's limit, as text", "workspace_owner_usage_limit_reached", { budgets: [{ isReached: true }] }],
		[
			"credits that are gone beside no window",
			{ type: "workspace_owner_credits_depleted" },
			{ budgets: [{}], credits: { hasCredits: false } },
		],
		["the general limit", { type: "rate_limit_reached" }, { limitReached: true }],
	])("takes the server's word that %s is reached", async (_name, rate_limit_reached_type, expected) => {
		const credits = { has_credits: true, unlimited: false };
		expect(await askWith({ rate_limit: null, credits, rate_limit_reached_type })).toMatchObject(expected);
	});

	it("takes no windows away for credits of the workspace that are gone", async () => {
		codex.account("a").setQuota({ fiveHour: { usedPercent: 20 } });
		const snapshot = await askWith({ rate_limit_reached_type: { type: "workspace_member_credits_depleted" } });
		expect(snapshot).toMatchObject({ windows: [{ usedPercent: 20 }], limitReached: false });
		expect(snapshot.budgets).toBeUndefined();
	});

	it.each([
		["a refusal", answers.unauthorized(), /answered 401/],
		["an overload", answers.overloaded(), /answered 503/],
		["a page of HTML", answers.cloudflare(), /answered 403/],
		["another shape", usageAnswers.malformed(), /an unexpected answer/],
	])("fails with a reason on %s", async (_name, answer, words) => {
		codex.account("a").usage(answer);
		expect(await failureOf(ask())).toMatch(words);
	});

	it.each([
		["nothing", {}],
		["an error", { error: { code: "gateway_error", message: "try later" } }],
		["a detail", { detail: "not now" }],
		["usage in an object of another name", { data: { plan_type: "plus", rate_limit: null } }],
	])("fails on JSON with %s in it, which would take known windows away", async (_name, body) => {
		codex.account("a").usage(usageAnswers.change(() => body));
		expect(await failureOf(ask())).toMatch(/an unexpected answer/);
	});

	it("takes an answer that says that there is no limit", async () => {
		codex.account("a").usage(usageAnswers.change(() => ({ rate_limit: null })));
		expect((await ask()).windows).toEqual([]);
	});

	it("fails with a reason, and no word of the body, on an answer that is no JSON", async () => {
		codex.account("a").usage(answers.refuse(200, "secret-body and more of it"));
		const text = await failureOf(ask());
		expect(text).not.toContain("secret-bo");
		expect(text).toMatch(/usage service/);
	});

	it("fails on an answer of more than a mebibyte, and takes one of nearly as much", async () => {
		const padded = (length: number) => usageAnswers.change((body) => ({ ...body, padding: "x".repeat(length) }));
		codex.account("a").usage(padded(1_000_000));
		expect((await ask()).windows).not.toEqual([]);
		codex.account("a").usage(padded(1_048_576));
		expect(await failureOf(ask())).toMatch(/an unexpected answer/);
	});

	it("fails on a connection that is reset, and on one that is refused", async () => {
		codex.account("a").usage(answers.resetBeforeHeaders());
		await failureOf(ask());
		const { baseUrl } = codex;
		const asked = { baseUrl, access: "token", workspaceId: aWorkspaceId("acct-a") };
		await codex.close();
		await expect(api.fetch(asked, new AbortController().signal)).rejects.toThrow(/cannot be reached/);
	});

	it("is dropped at once when it is no longer wanted", async () => {
		codex.account("a").usage(answers.hang());
		const abort = new AbortController();
		const asked = ask(codex.baseUrl, abort.signal);
		await codex.waitFor(({ kind }) => kind === "usage");
		abort.abort();
		await failureOf(asked);
	});

	it("never takes a token to another machine in the clear, nor where a redirect leads", async () => {
		await expect(ask("http://chatgpt.example/backend-api")).rejects.toThrow(/models\.json must use https/);
		codex.account("a").usage(answers.refuse(302, {}, { location: `${codex.issuer}/elsewhere` }));
		await failureOf(ask());
		expect(codex.requests.map(({ path }) => path)).toEqual(["/backend-api/wham/usage"]);
	});
});
