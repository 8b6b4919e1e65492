// The theme, the addresses of sections and categories, and what is drawn at first.

function setTheme(dark) {
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  document.getElementById("theme").setAttribute("aria-pressed", String(dark));
}

function remembered(value) {
  try { // a browser may keep nothing for files
    if (value !== undefined) localStorage.setItem("bacl-report-theme", value);
    return localStorage.getItem("bacl-report-theme");
  } catch { return null; }
}

function startTheme() {
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const theme = remembered();
  setTheme(theme ? theme === "dark" : preferred.matches);
  preferred.addEventListener("change", () => { if (!remembered()) setTheme(preferred.matches); });
  document.getElementById("theme").addEventListener("click", (event) => {
    const dark = event.currentTarget.getAttribute("aria-pressed") !== "true";
    setTheme(dark);
    remembered(dark ? "dark" : "light");
  });
}

/** Show the page of a category where the address names one, else the sections. */
function follow() {
  const wanted = /^#category=(-?\d+)$/.exec(location.hash);
  const page = wanted && categoryPage(Number(wanted[1]));
  const place = document.getElementById("category-page");
  const came = !place.hidden;
  place.replaceChildren(...(page ? [page] : []));
  place.hidden = !page;
  for (const section of document.querySelectorAll("main > section")) section.hidden = Boolean(page);
  tellPlace();
  if (page) {
    scrollTo({ top: 0, behavior: "instant" });
    place.querySelector("h2").focus({ preventScroll: true });
  } else if (came) {
    document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
  }
}

/** Mark the section that is being read among the links. */
function tellPlace() {
  const sections = [...document.querySelectorAll("main > section")];
  const passed = sections.filter((section) => !section.hidden && section.getBoundingClientRect().top < innerHeight / 3);
  const place = document.getElementById("category-page").hidden ? passed.at(-1)?.id : "categories";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${place}`) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
}

startTheme();
addEventListener("scroll", tellPlace, { passive: true });
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("main > section").forEach(filterable);
const categoriesView = document.getElementById("categories-view");
if (categoriesView) new CategoryTable(data("categories"), categoriesView);
showCurves();
const picturesView = document.getElementById("pictures-view");
if (picturesView) new Pictures(data("pictures"), picturesView);
addEventListener("hashchange", follow);
follow();
if (/^#[a-z]/.test(location.hash)) document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
