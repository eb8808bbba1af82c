import type { PanelKey } from "../../ui-kit/panel.ts";
import type { Drawing } from "./drawing.ts";

/** One account in detail, and how far its lines are scrolled. */
interface Details {
	isOpen(): boolean;
	/** Number of lines scrolled past. */
	scrolled(): number;
	/** Opens or closes it. */
	toggle(): void;
	/** Scrolls to the first line. */
	toTop(): void;
	/** Scrolls `drawn`; false if the key does not scroll. */
	scroll(typed: string, drawn: Drawing["details"]): boolean;
}

/** Creates the details, closed. */
export function createDetails(isKey: (typed: string, key: PanelKey) => boolean): Details {
	let isOpen = false;
	let scrolled = 0;
	return {
		isOpen: () => isOpen,
		scrolled: () => scrolled,
		toggle: () => {
			isOpen = !isOpen;
			scrolled = 0;
		},
		toTop: () => {
			scrolled = 0;
		},
		scroll: (typed, drawn) => {
			const { height, total } = drawn ?? { height: 0, total: 0 };
			const steps = [isKey(typed, "tui.select.pageUp") && -height, isKey(typed, "tui.select.pageDown") && height];
			const step = steps.find((each) => each !== false);
			if (!isOpen || step === undefined) return false;
			scrolled = Math.max(0, Math.min(total - height, scrolled + step));
			return true;
		},
	};
}
