import { csv, type Series } from './chart.ts';

export function saveCsv(title: string, xLabel: string, series: readonly Series[]): void {
  save(`${title}.csv`, new Blob([csv(xLabel, series)], { type: 'text/csv' }));
}

export function saveSvg(title: string, svg: SVGSVGElement): void {
  save(`${title}.svg`, new Blob([standalone(svg)], { type: 'image/svg+xml' }));
}

/** Twice the size on screen, enough for print. */
export async function savePng(title: string, svg: SVGSVGElement): Promise<void> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(standalone(svg))}`;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = svg.clientWidth * 2;
  canvas.height = svg.clientHeight * 2;
  canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => blob && save(`${title}.png`, blob));
}

const carried = [
  'fill',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'font-family',
  'font-size',
  'font-weight'
];

/** The drawing with its styles written into it: a file has no stylesheet to take them from. */
function standalone(svg: SVGSVGElement): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const originals = [...svg.querySelectorAll('*')];
  [...copy.querySelectorAll('*')].forEach((element, at) => {
    const style = getComputedStyle(originals[at]!);
    for (const name of carried) element.setAttribute(name, style.getPropertyValue(name));
  });
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  copy.style.background = getComputedStyle(svg.closest('figure') ?? svg).backgroundColor;
  return new XMLSerializer().serializeToString(copy);
}

/** Hands a file to the browser's downloads; names keep to characters that every system takes. */
export function save(name: string, blob: Blob): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name.replaceAll(/[^\w.-]+/g, '-');
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
