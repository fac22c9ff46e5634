//! Words that change what is asked, and words that do not.
//!
//! Each list is in lower case; words that are compared by their stem are stemmed by who compares. A word that is missing
//! here is treated as one that matters.

/// Words that carry no meaning of their own in a question, and those by which a request begins.
pub(crate) const EMPTY: &str = "a an the this that these those of in on at to for from by with about as into is are was were be been being \
am do does did doing done have has had having will would shall should can could may might must i me my mine you your yours he him his she \
her it its we us our they them their who whom whose which what when where why how there here and or so then please kindly tell explain \
describe show give let know want need like help say write answer question if any some just also really very quite exactly possible \
way ways thing things kind sort best good right get got getting go going make making made use using used work works mean means one \
possibly actually currently basically simply quickly easily us much many lot lots happen happens steps step procedure method reason reasons tips okay ok define would it's what's that's i'm i'd i'll i've \
you're there's how's where's who's let's";

/// Words that may begin a sentence, and are no names then: beside those without a meaning.
pub(crate) const BEGINNINGS: &str = "hi hello hey thanks thank ok okay yes no not never list name define summarize summarise translate convert \
compare calculate compute find create generate draft suggest recommend provide outline identify discuss analyze analyse rewrite rephrase \
correct fix check add remove delete install build set change update is are was were do does did can could should would will may might must \
shall has have had am how what when where why who whom whose which while since because after before during without with under over between \
if although though however also first second next last finally another other others each every all both few most more less only even \
still once given suppose assume imagine consider think in on at to for from by of as i we you they he she it my our your their his her its \
one two three people someone anyone everyone something anything nothing today tomorrow yesterday now today's there here this that these those \
a an the are count sort print read open close start stop run turn choose pick plan prepare cook bake clean learn teach study improve reduce \
increase prevent avoid handle solve prove derive implement explain describe tell show give write please help let need want looking trying \
getting going making using steps tips ideas advice instructions guide ways reasons causes examples difference differences meaning";

/// By what a text denies. Words of one class stand for each other.
pub(crate) const DENIALS: &[(&str, &str)] = &[
    (
        "not",
        "not no n't nt cannot cant can't dont don't doesnt doesn't isnt isn't wont won't nobody nothing nowhere none neither nor nicht kein keine keinen keinem nichts niemand pas aucun aucune rien non nada ningun ninguna ninguno não nao niet geen niets",
    ),
    ("never", "never nie niemals jamais nunca jamás mai nooit"),
    ("without", "without lacking missing ohne sans sin senza sem zonder"),
    ("except", "except excluding besides unless but außer sauf excepto tranne"),
    ("only", "only solely merely nur seulement solo solamente soltanto"),
    (
        "fail",
        "fail fails failed failing failure avoid avoids avoiding prevent prevents preventing unable impossible refuse refuses refused stop stops stopping",
    ),
];

/// Words of which a text has one or the other.
pub(crate) const OPPOSITES: &[&str] = &[
    "enable disable",
    "increase decrease reduce",
    "raise lower",
    "open close",
    "start stop",
    "begin end",
    "buy sell",
    "minimum maximum",
    "min max",
    "minimize maximize",
    "before after",
    "hot cold",
    "left right",
    "add remove",
    "more less fewer",
    "most least",
    "first last",
    "best worst",
    "better worse",
    "high low",
    "higher lower",
    "highest lowest",
    "import export",
    "encode decode",
    "encrypt decrypt",
    "upload download",
    "above below",
    "up down",
    "on off",
    "inside outside",
    "indoor outdoor",
    "old new",
    "older newer",
    "oldest newest",
    "oldest youngest",
    "cheap expensive",
    "cheapest priciest",
    "legal illegal",
    "legally illegally",
    "send receive",
    "lock unlock",
    "install uninstall",
    "push pull",
    "win lose",
    "pros cons",
    "advantage disadvantage",
    "benefit drawback risk",
    "same different",
    "similarity difference",
    "safe dangerous unsafe",
    "fast slow",
    "faster slower",
    "fastest slowest",
    "big small",
    "bigger smaller",
    "biggest smallest",
    "largest smallest",
    "large small",
    "long short",
    "longest shortest",
    "longer shorter",
    "ascending descending",
    "positive negative",
    "true false",
    "public private",
    "male female",
    "men women",
    "man woman",
    "boy girl",
    "gain loss lose",
    "weak strong",
    "easy hard difficult",
    "early late",
    "earliest latest",
    "north south east west",
    "northern southern eastern western",
    "parent child",
    "client server",
    "create delete destroy",
    "connect disconnect",
    "login logout",
    "subscribe unsubscribe",
    "allow block deny forbid",
    "accept reject decline",
    "horizontal vertical",
    "even odd",
    "rich poor",
    "dry wet",
    "heavy light",
    "full empty",
    "single married",
    "breakfast lunch dinner",
    "beginner advanced expert",
    "adult children kid",
    "front back",
    "top bottom",
    "formal informal casual",
    "synonym antonym",
    "lend borrow",
    "credit debit",
    "import export",
    "morning afternoon evening night",
    "sunrise sunset",
];

/// Words for a number.
pub(crate) const NUMBERS: &[(&str, &str)] = &[
    ("zero", "0"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
    ("eleven", "11"),
    ("twelve", "12"),
    ("thirteen", "13"),
    ("fourteen", "14"),
    ("fifteen", "15"),
    ("sixteen", "16"),
    ("seventeen", "17"),
    ("eighteen", "18"),
    ("nineteen", "19"),
    ("twenty", "20"),
    ("thirty", "30"),
    ("forty", "40"),
    ("fifty", "50"),
    ("sixty", "60"),
    ("seventy", "70"),
    ("eighty", "80"),
    ("ninety", "90"),
    ("hundred", "100"),
    ("thousand", "1000"),
    ("million", "1000000"),
    ("billion", "1000000000"),
    ("dozen", "12"),
    ("half", "1/2"),
    ("quarter", "1/4"),
    ("double", "x2"),
    ("twice", "x2"),
    ("triple", "x3"),
    ("both", "2"),
    ("third", "3."),
    ("fourth", "4."),
    ("fifth", "5."),
];

/// Units that are words wherever they stand.
pub(crate) const UNITS: &[(&str, &str)] = &[
    ("km", "km kms kilometer kilometers kilometre kilometres"),
    ("m", "meter meters metre metres"),
    ("cm", "cm centimeter centimeters centimetre centimetres"),
    ("mm", "mm millimeter millimeters millimetre millimetres"),
    ("mile", "mi mile miles"),
    ("yard", "yd yard yards"),
    ("foot", "ft foot feet"),
    ("inch", "inch inches"),
    ("kg", "kg kgs kilo kilos kilogram kilograms kilogramme"),
    ("g", "gram grams gramme"),
    ("mg", "mg milligram milligrams"),
    ("pound", "lb lbs pound pounds"),
    ("ounce", "oz ounce ounces"),
    ("tonne", "ton tons tonne tonnes"),
    ("l", "liter liters litre litres"),
    ("ml", "ml milliliter milliliters millilitre millilitres"),
    ("gallon", "gallon gallons"),
    ("cup", "cup cups"),
    ("spoon", "tablespoon tablespoons tbsp"),
    ("teaspoon", "teaspoon teaspoons tsp"),
    ("celsius", "celsius centigrade °c"),
    ("fahrenheit", "fahrenheit °f"),
    ("kelvin", "kelvin"),
    ("ms", "ms millisecond milliseconds"),
    ("second", "sec secs second seconds"),
    ("minute", "mins minute minutes"),
    ("hour", "hr hrs hour hours hourly"),
    ("day", "day days daily"),
    ("week", "week weeks weekly"),
    ("month", "month months monthly"),
    ("year", "year years yearly annual annually"),
    ("decade", "decade decades"),
    ("century", "century centuries"),
    ("usd", "$ usd dollar dollars"),
    ("eur", "€ eur euro euros"),
    ("gbp", "£ gbp quid"),
    ("jpy", "¥ jpy yen"),
    ("cent", "cent cents"),
    ("percent", "% percent percentage pct"),
    ("kb", "kb kib kilobyte kilobytes"),
    ("mb", "mb mib megabyte megabytes"),
    ("gb", "gb gib gigabyte gigabytes"),
    ("tb", "tb tib terabyte terabytes"),
    ("byte", "byte bytes"),
    ("bit", "bit bits"),
    ("kmh", "kph kmh km/h"),
    ("mph", "mph"),
    ("watt", "watt watts"),
    ("kwh", "kwh"),
    ("volt", "volt volts"),
    ("calorie", "calorie calories kcal"),
    ("word", "word words"),
    ("sentence", "sentence sentences"),
    ("paragraph", "paragraph paragraphs"),
    ("page", "page pages"),
];

/// Units that are one only behind a number.
pub(crate) const SHORT_UNITS: &[(&str, &str)] = &[
    ("m", "m"),
    ("g", "g"),
    ("l", "l"),
    ("s", "s"),
    ("hour", "h"),
    ("inch", "in"),
    ("celsius", "c"),
    ("fahrenheit", "f"),
    ("minute", "min"),
    ("kilo", "k"),
    ("am", "am a.m"),
    ("pm", "pm p.m"),
    ("watt", "w"),
    ("volt", "v"),
    ("x", "x"),
    ("million", "mn mio"),
    ("day", "d"),
];

/// Words that are a date or a time.
pub(crate) const DATES: &[(&str, &str)] = &[
    ("january", "january jan"),
    ("february", "february feb"),
    ("march", "march"),
    ("april", "april apr"),
    ("june", "june jun"),
    ("july", "july jul"),
    ("august", "august aug"),
    ("september", "september sept sep"),
    ("october", "october oct"),
    ("november", "november nov"),
    ("december", "december dec"),
    ("monday", "monday mondays"),
    ("tuesday", "tuesday tuesdays"),
    ("wednesday", "wednesday wednesdays"),
    ("thursday", "thursday thursdays"),
    ("friday", "friday fridays"),
    ("saturday", "saturday saturdays"),
    ("sunday", "sunday sundays"),
    ("today", "today today's"),
    ("tomorrow", "tomorrow tomorrow's"),
    ("yesterday", "yesterday yesterday's"),
    ("tonight", "tonight"),
    ("weekend", "weekend weekends"),
    ("noon", "noon midday"),
    ("midnight", "midnight"),
    ("spring", "spring"),
    ("summer", "summer"),
    ("autumn", "autumn"),
    ("winter", "winter"),
    ("christmas", "christmas xmas"),
    ("easter", "easter"),
    ("ago", "ago"),
    ("last", "last previous past"),
    ("next", "next coming upcoming following"),
    ("this", "current"),
    ("every", "every each per"),
];

/// Prepositions by which it is said which way something goes: of one row, one is not the other.
pub(crate) const DIRECTIONS: &[(&str, &str)] = &[
    ("from", "way"),
    ("to", "way"),
    ("into", "way"),
    ("before", "time"),
    ("after", "time"),
    ("since", "time"),
    ("until", "time"),
    ("over", "height"),
    ("under", "height"),
    ("above", "height"),
    ("below", "height"),
    ("with", "company"),
    ("without", "company"),
    ("for", "side"),
    ("against", "side"),
];

/// What is asked for, by the word that asks.
pub(crate) const ASKING: &[(&str, &str)] = &[
    ("who", "who whom whose"),
    ("when", "when"),
    ("where", "where"),
    ("why", "why"),
    ("how", "how"),
];

/// What is asked for by `how` and one more word.
pub(crate) const MEASURES: &str =
    "many much long far old often tall high big large fast deep wide heavy expensive soon hot cold";

/// Words that are often written with a dot or a stroke in them, and are no code.
pub(crate) const NO_CODE: &str =
    "e.g e.g. i.e i.e. a.m p.m u.s u.k etc vs and/or he/she his/her w/ w/o n/a 24/7 km/h";

/// The class of a word in a list of classes.
pub(crate) fn class(
    list: &'static [(&'static str, &'static str)],
    word: &str,
) -> Option<&'static str> {
    list.iter().find(|(_, words)| is_in(words, word)).map(|(class, _)| *class)
}

/// Whether a word is in a list.
pub(crate) fn is_in(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|other| other == word)
}
