"""Pairs of questions: some ask the same in other words, some ask something else in nearly the same words.

Written for this measurement, in English: it shows what happens, and not how often it happens to anybody's questions.
"""

from itertools import combinations

# Each line is one question in several forms.
SAME = """
How do I reset my password? | I forgot my password, how can I reset it? | What are the steps to reset my password?
What is the capital of France? | Which city is the capital of France? | Tell me the capital of France
How do I undo the last commit in Git? | In Git, how can I undo my last commit? | What's the Git command to undo the last commit?
How long does it take to boil an egg? | For how long should an egg be boiled? | How many minutes do I boil an egg?
What is photosynthesis? | Explain photosynthesis | Can you explain how photosynthesis works?
How many people live in Norway? | What is the population of Norway? | Norway population
How tall is Mount Everest? | What is the height of Mount Everest? | Mount Everest height
Who wrote Hamlet? | Who is the author of Hamlet? | Hamlet was written by whom?
How can I improve my English writing skills? | What can I do to get better at writing English? | Tips for improving my English writing
What causes inflation? | Why does inflation happen? | What are the causes of inflation?
How do I cancel my subscription? | I want to cancel my subscription, how do I do that? | What is the procedure for cancelling my subscription?
Translate "good morning" to Spanish | How do you say "good morning" in Spanish? | What is "good morning" in Spanish?
What is the boiling point of water in celsius? | At how many degrees celsius does water boil? | In celsius, at what temperature does water boil?
How do I convert a string to an integer in Python? | Python: convert string to integer | In Python, how can a string be turned into an integer?
What is the difference between TCP and UDP? | How do TCP and UDP differ? | TCP vs UDP: what are the differences?
How do I delete a branch in Git? | What is the command to delete a Git branch? | Git: how to delete a branch
What are the symptoms of the flu? | Which symptoms does the flu have? | How do I know that I have the flu?
What is a good recipe for banana bread? | Give me a banana bread recipe | How do I make banana bread?
How do I center a div with CSS? | What is the CSS way to center a div? | CSS: centering a div
Why is the sky blue? | What makes the sky blue? | Explain why the sky looks blue
How much sleep does an adult need? | How many hours should an adult sleep? | What is the recommended amount of sleep for adults?
What is the speed of light? | How fast does light travel? | How fast is light?
How do vaccines work? | Explain how vaccines work | What is the mechanism by which vaccines work?
Where is my order? | What is the status of my order? | Can you track my order for me?
Do you ship to Canada? | Is shipping to Canada available? | Can I get my order shipped to Canada?
What is your return policy? | How do returns work? | Can you explain your policy on returns?
How do I list all files in a directory in Linux? | Linux command to list all files of a directory | In Linux, which command lists the files in a directory?
What is machine learning? | Explain machine learning to me | Can you define machine learning?
How can I lose weight quickly? | What is a quick way to lose weight? | Ways to lose weight fast
How do I write a cover letter? | Can you help me write a cover letter? | What should go into a cover letter?
When was the Eiffel Tower built? | In which year was the Eiffel Tower built? | When did they build the Eiffel Tower?
What is the largest planet in the solar system? | Which planet of the solar system is the largest? | Name the largest planet in our solar system
How do I change the oil of my car? | What are the steps for an oil change? | My car needs an oil change, how do I do it?
Why do cats purr? | What is the reason that cats purr? | What makes a cat purr?
How do I merge two dictionaries in Python? | Python merge two dictionaries | What is the way to combine two dictionaries in Python?
How do I remove a stain of red wine from a carpet? | How can red wine stains be removed from a carpet? | I spilled red wine on the carpet, how do I get the stain out?
What does HTTP status code 404 mean? | What is the meaning of HTTP status 404? | HTTP 404 meaning
How do I set up two-factor authentication? | Where can I turn on two-factor authentication? | Steps to set up two-factor authentication
Can dogs eat chocolate? | Is chocolate bad for dogs? | Is it okay for a dog to eat chocolate?
What are the opening hours of your store? | When is your store open? | What time does your store open and close?
"""

# Each line is two questions whose answers are not the same.
OTHER = """
numbers | What is 15% of 80? | What is 15% of 85?
numbers | How do I cook rice for 4 people? | How do I cook rice for 14 people?
numbers | What does HTTP status code 404 mean? | What does HTTP status code 403 mean?
numbers | Give me five ideas for a birthday party | Give me ten ideas for a birthday party
numbers | What happened in 1989? | What happened in 1988?
numbers | How do I upgrade from Python 3.8 to 3.11? | How do I upgrade from Python 3.8 to 3.12?
numbers | Summarize this in two sentences | Summarize this in three sentences
numbers | Is a fever of 38 degrees dangerous for a child? | Is a fever of 41 degrees dangerous for a child?
numbers | What is the square root of 144? | What is the square root of 169?
numbers | Can I return a product after 14 days? | Can I return a product after 40 days?
names | What is the capital of France? | What is the capital of Finland?
names | Who wrote Hamlet? | Who wrote Faust?
names | Flights from Rome to Oslo | Flights from Oslo to Rome
names | What is the difference between TCP and UDP? | What is the difference between TCP and TLS?
names | Is Java faster than Python? | Is Python faster than Java?
names | Do you ship to Canada? | Do you ship to Mexico?
names | How do I install Docker on Ubuntu? | How do I install Docker on Debian?
names | Who is the president of Brazil? | Who is the president of Chile?
names | Translate this to Spanish | Translate this to Portuguese
names | How old is Angela Merkel? | How old is Angela Davis?
lower | what is the population of france | what is the population of spain
lower | weather in lyon | weather in nice
lower | flights from paris to london | flights from london to paris
lower | who is the president of brazil | who is the president of chile
lower | hotels in new york | hotels in new orleans
lower | how do i install docker on ubuntu | how do i install docker on debian
lower | is java faster than python | is python faster than java
lower | convert dollars to euros | convert euros to dollars
lower | how to say hello in spanish | how to say hello in french
lower | does a lion beat a tiger | does a tiger beat a lion
negations | Which foods can I eat when I have diabetes? | Which foods can I not eat when I have diabetes?
negations | Why does my code compile? | Why doesn't my code compile?
negations | Can I cook rice with salt? | Can I cook rice without salt?
negations | Is it legal to record a call? | Is it illegal to record a call?
negations | List the countries that are in the European Union | List the countries that are not in the European Union
negations | How do I enable dark mode? | How do I disable dark mode?
negations | Which numbers are prime? | Which numbers are not prime?
negations | When should I take this medicine? | When should I never take this medicine?
negations | What are the advantages of remote work? | What are the disadvantages of remote work?
negations | How can I gain weight? | How can I lose weight?
units | How many miles is a marathon? | How many kilometers is a marathon?
units | What is 20 degrees celsius in kelvin? | What is 20 degrees fahrenheit in kelvin?
units | How much is 100 dollars in yen? | How much is 100 euros in yen?
units | How many grams of sugar are in a cup? | How many ounces of sugar are in a cup?
units | Convert 5 kg to pounds | Convert 5 pounds to kg
units | Is 5 mg of melatonin too much? | Is 5 g of melatonin too much?
units | How many bits are in 2 MB? | How many bits are in 2 GB?
units | How long is 300 seconds in minutes? | How long is 300 minutes in seconds?
dates | What is the weather like on Monday? | What is the weather like on Tuesday?
dates | What were the sales of last month? | What were the sales of this month?
dates | Is the store open on 24 December? | Is the store open on 25 December?
dates | Show me the meetings of today | Show me the meetings of tomorrow
dates | What should I plant in March? | What should I plant in October?
dates | What is a good place to travel to in winter? | What is a good place to travel to in summer?
dates | When is the next full moon? | When was the last full moon?
dates | Report for the first quarter | Report for the third quarter
asking | When was the Eiffel Tower built? | Why was the Eiffel Tower built?
asking | Who invented the telephone? | When was the telephone invented?
asking | How much does the visa cost? | How long does the visa take?
asking | Where can I renew my passport? | When can I renew my passport?
asking | How tall is Mount Everest? | How old is Mount Everest?
asking | What is photosynthesis? | Where does photosynthesis happen?
code | What does `git reset --soft` do? | What does `git reset --hard` do?
code | What does git push do? | What does git pull do?
code | How do I use map() in Python? | How do I use filter() in Python?
code | Explain the regular expression "^a+$" | Explain the regular expression "^a*$"
code | How do I import foo.bar? | How do I import foo.baz?
code | How do I write a for loop in Rust? | How do I write a while loop in Rust?
code | What is the type of x[0]? | What is the type of x[1]?
code | Define "affect" | Define "effect"
opposites | What is the largest planet in the solar system? | What is the smallest planet in the solar system?
opposites | How do I sort a list in ascending order? | How do I sort a list in descending order?
opposites | What is the minimum of this function? | What is the maximum of this function?
opposites | How do I open a bank account? | How do I close a bank account?
opposites | Should I buy this stock? | Should I sell this stock?
opposites | How do I encrypt a file? | How do I decrypt a file?
opposites | What are the benefits of coffee? | What are the risks of coffee?
opposites | How can I increase my blood pressure? | How can I decrease my blood pressure?
opposites | Who is the oldest person alive? | Who is the youngest person alive?
opposites | How do I install Node on a Mac? | How do I uninstall Node on a Mac?
modifiers | Restaurants near the station | Vegan restaurants near the station
modifiers | How do I delete a file? | How do I delete a file permanently?
modifiers | Can dogs eat chocolate? | Can dogs eat cheese?
modifiers | What is a good recipe for banana bread? | What is a good recipe for banana cake?
modifiers | What are the symptoms of the flu? | What are the symptoms of covid?
modifiers | How do I delete a branch in Git? | How do I delete a remote branch in Git?
modifiers | How do I cancel my subscription? | How do I cancel my order?
modifiers | How do I change my email address? | How do I change my shipping address?
modifiers | What is machine learning? | What is deep learning?
modifiers | How do I merge two dictionaries in Python? | How do I merge two lists in Python?
modifiers | How do I remove a red wine stain from a carpet? | How do I remove a blood stain from a carpet?
modifiers | What is the tallest building in Europe? | What is the tallest mountain in Europe?
roles | Can a teacher sue a student? | Can a student sue a teacher?
roles | Does the buyer pay the seller a fee? | Does the seller pay the buyer a fee?
roles | What happens if my landlord owes me money? | What happens if I owe my landlord money?
roles | How do I send a file from my phone to my laptop? | How do I send a file from my laptop to my phone?
roles | Is tea healthier than coffee? | Is coffee healthier than tea?
roles | Should I shower before or after a workout, and why before? | Should I shower before or after a workout, and why after?
rewording | The bank is closed on which holidays? | On which holidays is the bank account blocked?
rewording | How do I get a refund for a late delivery? | How late may a delivery be before I get a refund?
rewording | What do I do if a dog bites me? | How do I stop my dog from biting me?
rewording | How much water should I drink a day? | How much water does a day at the pool use?
rewording | Why is my computer so slow at startup? | Why does my computer shut down at startup?
rewording | Is it safe to take aspirin with alcohol? | Is it safe to clean a wound with alcohol?
"""


# Written when the check was finished, which was not changed for them.
UNSEEN_SAME = """
How do I renew my driver's license? | What do I need to do to renew my driver's license?
What is the tallest mountain in Africa? | Which mountain in Africa is the tallest?
How can I stop my dog from barking at night? | My dog barks at night, how do I make it stop?
What is the meaning of the word ubiquitous? | What does ubiquitous mean?
How do I take a screenshot on a Mac? | Mac: how to take a screenshot
Who painted the Mona Lisa? | The Mona Lisa was painted by which artist?
How many calories are in an apple? | How many calories does an apple have?
What is the best way to learn to play the piano? | How should I go about learning the piano?
How do I fix a leaking tap? | My tap is leaking, how can I repair it?
Explain quantum entanglement in simple terms | What is quantum entanglement, in simple words?
How do I reverse a list in Python? | Python: reversing a list
What should I pack for a week of hiking? | Which things do I bring on a hiking trip of a week?
How does a bill become a law? | What is the process by which a bill becomes law?
What is the exchange rate between dollars and euros? | What's the current dollar to euro exchange rate?
How do I change my profile picture? | Where can I change my profile picture?
What are the side effects of ibuprofen? | Which side effects does ibuprofen have?
How do I apply for a student loan? | What is the application process for student loans?
Why did the Roman Empire fall? | What led to the fall of the Roman Empire?
How long should I charge my phone? | For how long do I have to charge my phone?
What is a healthy breakfast? | Suggest a healthy breakfast
How do I unsubscribe from your newsletter? | I no longer want your newsletter, how do I unsubscribe?
Is it going to rain in Berlin tomorrow? | Will it rain tomorrow in Berlin?
How do I create a table in SQL? | What is the SQL statement to create a table?
What is the GDP of Japan? | How large is Japan's GDP?
How do I get rid of ants in the kitchen? | There are ants in my kitchen, how can I get rid of them?
Write a haiku about autumn | Compose an autumn haiku
How do I block a caller on an iPhone? | iPhone: block a caller
Where was Mozart born? | What is the birthplace of Mozart?
What is the difference between a virus and a bacterium? | How does a virus differ from a bacterium?
Give me a synonym for happy | What is a synonym of happy?
"""

UNSEEN_OTHER = """
What is the tallest mountain in Africa? | What is the tallest mountain in Asia?
How many calories are in an apple? | How many calories are in an apple pie?
Who painted the Mona Lisa? | Who stole the Mona Lisa?
How do I reverse a list in Python? | How do I reverse a string in Python?
Is it going to rain in Berlin tomorrow? | Is it going to rain in Berlin on Sunday?
How long should I charge my phone? | How often should I charge my phone?
What are the side effects of ibuprofen? | What are the side effects of aspirin?
Where was Mozart born? | When was Mozart born?
Write a haiku about autumn | Write a limerick about autumn
How do I block a caller on an iPhone? | How do I unblock a caller on an iPhone?
What is the GDP of Japan? | What is the GDP per capita of Japan?
Give me a synonym for happy | Give me an antonym for happy
How do I create a table in SQL? | How do I drop a table in SQL?
my cat bit my neighbour, what now | my neighbour's cat bit me, what now
is it safe to mix bleach and vinegar | is it safe to mix baking soda and vinegar
can i take ibuprofen after paracetamol | can i take paracetamol after ibuprofen
What is 3 to the power of 4? | What is 4 to the power of 3?
Transfer 500 from savings to checking | Transfer 500 from checking to savings
Which of my meetings are before noon? | Which of my meetings are after noon?
How do I grant read access to a bucket? | How do I grant write access to a bucket?
Translate the sentence into formal German | Translate the sentence into informal German
What did Alice say to Bob? | What did Bob say to Alice?
Which planets have rings? | Which planets have no rings?
Is a tomato a fruit? | Is a potato a fruit?
How do I turn on airplane mode? | How do I turn off airplane mode?
Show orders above 100 euros | Show orders below 100 euros
Remind me at 7 am | Remind me at 7 pm
How many players are in a soccer team? | How many players are in a basketball team?
What is the first book of the series? | What is the last book of the series?
Who won the world cup in 2014? | Who won the world cup in 2018?
the train leaves hamburg and arrives in munich when | the train leaves munich and arrives in hamburg when
Explain how a jet engine works | Explain how a diesel engine works
Can I deduct my home office if I am employed? | Can I deduct my home office if I am self-employed?
What is the maximum dose of vitamin D for adults? | What is the maximum dose of vitamin D for infants?
Do I need a visa for a stay of 80 days? | Do I need a visa for a stay of 100 days?
Who is taller, Tom or Jerry? | Who is shorter, Tom or Jerry?
How do I cook pasta for a dog? | How do I cook pasta with a dog around?
Delete all users that are inactive | Delete all users that are active
Is the museum free on Sundays? | Is the museum closed on Sundays?
Summarise the article for a lawyer | Summarise the article for a child
"""

def parts(text):
    return [[it.strip() for it in line.split(" | ")] for line in text.strip().splitlines()]


def pairs():
    """Each pair: `same` or what it is that is not the same, and the two questions."""
    same = [("same", one, other) for forms in parts(SAME) for one, other in combinations(forms, 2)]
    return same + [tuple(it) for it in parts(OTHER)]


def unseen():
    """As `pairs`, of those that the check was not made with."""
    return [("same", *it) for it in parts(UNSEEN_SAME)] + [("other", *it) for it in parts(UNSEEN_OTHER)]
