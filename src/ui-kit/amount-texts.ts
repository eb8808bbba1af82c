import type { Amounts } from "../core/ledger/ledger.ts";

const UNITS = [
	{ size: 1e9, sign: "B" },
	{ size: 1e6, sign: "M" },
	{ size: 1e3, sign: "k" },
] as const;

/** `987`, `4.1k`, `310k`, `2.1M`. */
export function countText(count: number): string {
	// What would round to a thousand belongs to the next unit.
	const unit = UNITS.find(({ size }) => count >= size * 0.9995);
	if (!unit) return String(Math.round(count));
	const scaled = count / unit.size;
	return `${scaled < 9.95 ? scaled.toFixed(1) : Math.round(scaled)}${unit.sign}`;
}

/** `$3.20`. A small amount is never shown as zero. */
export function costText(cost: number): string {
	if (cost > 0 && cost < 0.01) return "<$0.01";
	return `$${cost < 999.5 ? cost.toFixed(2) : countText(cost)}`;
}

/** Lists what was used: `12 requests, 310k tokens in, 2.1M cached, 34k out, $3.20`. */
export function amountsText({ requests, input, cached, output, cost }: Amounts): string {
	const parts = [
		`${countText(requests)} ${requests === 1 ? "request" : "requests"}`,
		`${countText(input)} tokens in`,
		`${countText(cached)} cached`,
		`${countText(output)} out`,
		costText(cost),
	];
	return parts.join(", ");
}
