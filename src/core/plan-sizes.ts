import { budgetsOf } from "./quota.ts";
import type { UsageSnapshot } from "./usage.ts";

/** A plus account's month in the backend's credits: its week of 7,560, scaled to thirty days. */
const PLUS_MONTH_CREDITS = 32_400;
const LARGEST_FACTOR = 20;

/**
 * Size of a plan's windows relative to plus, by the backend's plan name. A plan of unknown size gets the size of the
 * plan that it is a variant of.
 */
const PLAN_FACTORS: ReadonlyMap<string, number> = new Map([
	["guest", 0.15],
	["free", 0.15],
	["free_workspace", 0.15],
	["go", 0.15],
	["plus", 1],
	["team", 1],
	["business", 1],
	["self_serve_business_usage_based", 1],
	["edu", 1],
	["education", 1],
	["k12", 1],
	["quorum", 1],
	["sci", 1],
	["prolite", 5],
	["self_serve_business_prolite", 5],
	["pro", 6.7],
	["promax", 6.7],
	["edu_pro", 6.7],
	["hc", 6.7],
	["ent26", 6.7],
]);

/** `enterprise` and its variants: `enterprise_cbp_automation`, `_trial`, `_usage_based`. */
const ENTERPRISE = "enterprise";
const ENTERPRISE_FACTOR = 6.7;

/**
 * Returns how many plus accounts an account of this plan is worth. An unknown plan counts as plus, or as more if its
 * monthly budget is larger, but never as the smallest.
 */
export function planFactor(plan: string | undefined, usage: UsageSnapshot | undefined): number {
	const name = (plan ?? "").toLowerCase();
	const known = name.startsWith(ENTERPRISE) ? ENTERPRISE_FACTOR : PLAN_FACTORS.get(name);
	if (known !== undefined) return known;
	const largest = Math.max(0, ...(usage ? budgetsOf(usage) : []).map(({ limit = 0 }) => limit));
	return Math.min(LARGEST_FACTOR, Math.max(1, largest / PLUS_MONTH_CREDITS));
}
