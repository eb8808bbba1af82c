import { arch, platform, release } from "node:os";
import { z } from "zod";
import type { Credits, MeteredLimit, UsageSnapshot, UsageWindow } from "../domain/usage.ts";
import type { UsageApi } from "../pool/ports.ts";
import { textOf } from "./body.ts";
import { parseJson } from "./json.ts";
import { refusalToSendTokens, withoutSlash } from "./token-url.ts";
import { unreachedWords, whyUnreached } from "./unreached.ts";

const TIMEOUT_MS = 15_000;
/** An answer of the backend has a few KiB. */
const LONGEST_ANSWER_BYTES = 1_048_576;

/** Ids of the general limit; anything else is a limit that only some models draw on. */
const GENERAL_LIMITS = new Set(["codex", "premium"]);

const windowSchema = z.object({
	used_percent: z.number(),
	limit_window_seconds: z.number(),
	reset_after_seconds: z.number().nullish(),
	reset_at: z.number().nullish(),
});
const limitSchema = z.object({
	allowed: z.boolean().nullish(),
	limit_reached: z.boolean().nullish(),
	primary_window: windowSchema.nullish(),
	secondary_window: windowSchema.nullish(),
	tertiary_window: windowSchema.nullish(),
});
const usageSchema = z.object({
	plan_type: z.string().nullish(),
	rate_limit: limitSchema.nullish(),
	additional_rate_limits: z
		.array(
			z.object({
				limit_name: z.string().nullish(),
				metered_feature: z.string().nullish(),
				rate_limit: limitSchema.nullish(),
			}),
		)
		.nullish(),
	credits: z
		.object({ has_credits: z.boolean(), unlimited: z.boolean(), balance: z.string().nullish() })
		.nullish()
		.catch(null),
});

/** The usage endpoint beside a model's base URL: `<base>/wham/usage`. */
export function createUsageApi(now: () => number): UsageApi {
	return {
		fetch: async ({ baseUrl, access, accountId }, signal) => {
			const refusal = refusalToSendTokens(baseUrl, "baseUrl of openai-codex in models.json");
			if (refusal) throw new Error(refusal);
			// An answer is as old as its question: what was refused meanwhile is newer.
			const askedAt = now();
			const bounded = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
			const response = await get(usageUrl(baseUrl), access, accountId, bounded);
			if (!response.ok) {
				await response.body?.cancel();
				throw new Error(`the usage service answered ${response.status}`);
			}
			const parsed = parseJson(usageSchema, await textOf(response, bounded, LONGEST_ANSWER_BYTES).catch(() => ""));
			if (!parsed) throw new Error("the usage service gave an answer of another shape");
			return toSnapshot(parsed, askedAt);
		},
	};
}

async function get(url: string, access: string, accountId: string, signal: AbortSignal): Promise<Response> {
	try {
		return await fetch(url, {
			headers: {
				authorization: `Bearer ${access}`,
				"chatgpt-account-id": accountId,
				accept: "application/json",
				"user-agent": `pi (${platform()} ${release()}; ${arch()})`,
			},
			redirect: "error",
			signal,
		});
	} catch (error) {
		// The message may quote a header, and so the token.
		const why = whyUnreached(error);
		const isPlain = why.kind === "unanswered" || why.kind === "unconnected";
		throw new Error(isPlain ? "the usage service cannot be reached" : unreachedWords(why, "the usage service"));
	}
}

/** `<base>/wham/usage`, for a base that may already name the responses endpoint. */
export function usageUrl(baseUrl: string): string {
	return `${withoutSlash(baseUrl).replace(/\/codex(\/responses)?$/, "")}/wham/usage`;
}

function toSnapshot(body: z.output<typeof usageSchema>, now: number): UsageSnapshot {
	const limits: Record<string, MeteredLimit> = {};
	for (const limit of body.additional_rate_limits ?? []) {
		const id = limit.metered_feature ?? limit.limit_name;
		if (id) limits[id] = { name: limit.limit_name ?? undefined, windows: windowsOf(limit.rate_limit, now) };
	}
	const { rate_limit: general, credits } = body;
	return {
		capturedAt: now,
		source: "api",
		plan: body.plan_type ?? undefined,
		windows: windowsOf(general, now),
		limits,
		credits: credits
			? { hasCredits: credits.has_credits, unlimited: credits.unlimited, balance: credits.balance ?? undefined }
			: undefined,
		limitReached: general?.limit_reached === true || general?.allowed === false,
	};
}

function windowsOf(limit: z.output<typeof limitSchema> | null | undefined, now: number): UsageWindow[] {
	return [limit?.primary_window, limit?.secondary_window, limit?.tertiary_window].flatMap((window) => {
		if (!window || window.limit_window_seconds <= 0) return [];
		const { reset_at: resetAt, reset_after_seconds: resetAfter } = window;
		return {
			usedPercent: window.used_percent,
			windowMinutes: Math.ceil(window.limit_window_seconds / 60),
			resetsAt: toResetsAt(resetAt ?? undefined, resetAfter ?? undefined, now),
		};
	});
}

function toResetsAt(epochSeconds: number | undefined, afterSeconds: number | undefined, now: number) {
	if (epochSeconds !== undefined && epochSeconds > 0) return epochSeconds * 1000;
	return afterSeconds === undefined || afterSeconds <= 0 ? undefined : now + afterSeconds * 1000;
}

/** What the `x-codex-*` headers of a response tell. */
export interface HeaderUsage {
	/** Undefined where the headers carry no window of the general limit and no other limit. */
	readonly snapshot: UsageSnapshot | undefined;
	/** The limit that governs this request, where it is not the general one. */
	readonly activeLimit: string | undefined;
	/** The windows of the limit that governs. */
	readonly activeWindows: readonly UsageWindow[];
}

const WINDOW_HEADER = /^x-(.+)-(?:primary|secondary)-(?:used-percent|window-minutes|reset-at|reset-after-seconds)$/;

/** Reads the usage headers of a Codex response; names must be lower-cased. `now` is epoch ms. */
export function usageFromHeaders(headers: Readonly<Record<string, string>>, now: number): HeaderUsage {
	const families = new Set<string>();
	for (const name of Object.keys(headers)) {
		const family = WINDOW_HEADER.exec(name)?.[1];
		if (family) families.add(family);
	}
	const limits: Record<string, MeteredLimit> = {};
	for (const family of families) {
		const id = family.replaceAll("-", "_");
		const windows = familyWindows(headers, family, now);
		if (id !== "codex" && windows.length > 0) limits[id] = { name: headers[`x-${family}-limit-name`], windows };
	}
	const windows = familyWindows(headers, "codex", now);
	const activeId = headers["x-codex-active-limit"]?.trim().toLowerCase().replaceAll("-", "_");
	const activeLimit = activeId && !GENERAL_LIMITS.has(activeId) ? activeId : undefined;
	const known = windows.length > 0 || Object.keys(limits).length > 0;
	return {
		snapshot: known
			? {
					capturedAt: now,
					source: "headers",
					plan: headers["x-codex-plan-type"],
					windows,
					limits,
					credits: creditsOf(headers),
					limitReached: false,
				}
			: undefined,
		activeLimit,
		activeWindows: activeLimit ? (limits[activeLimit]?.windows ?? []) : windows,
	};
}

function familyWindows(headers: Readonly<Record<string, string>>, family: string, now: number): UsageWindow[] {
	return ["primary", "secondary"].flatMap((slot) => {
		const field = (name: string) => numberOf(headers[`x-${family}-${slot}-${name}`]);
		const usedPercent = field("used-percent");
		const windowMinutes = field("window-minutes");
		// A window of zero minutes is one that the plan has switched off.
		if (usedPercent === undefined || windowMinutes === undefined || windowMinutes <= 0) return [];
		const resetAt = headers[`x-${family}-${slot}-reset-at`];
		const iso = resetAt?.includes("T") ? Date.parse(resetAt) : Number.NaN;
		const resetsAt = Number.isNaN(iso) ? toResetsAt(numberOf(resetAt), field("reset-after-seconds"), now) : iso;
		return { usedPercent, windowMinutes, resetsAt };
	});
}

function creditsOf(headers: Readonly<Record<string, string>>): Credits | undefined {
	const hasCredits = headers["x-codex-credits-has-credits"];
	if (hasCredits === undefined) return undefined;
	return {
		hasCredits: hasCredits.toLowerCase() === "true",
		unlimited: headers["x-codex-credits-unlimited"]?.toLowerCase() === "true",
		balance: headers["x-codex-credits-balance"],
	};
}

function numberOf(text: string | undefined): number | undefined {
	if (text === undefined || text.trim() === "") return undefined;
	const value = Number(text);
	return Number.isFinite(value) ? value : undefined;
}
